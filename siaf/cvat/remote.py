"""A session in a deployed function, over its `/v1` calls (docs/openapi.json)."""

import json
import time
from typing import Any
from urllib.parse import urlsplit

import urllib3

from siaf.cvat.connection import ServerFault
from siaf.cvat.engine import Engine, EngineFactory, Interaction, Progress, begin_with_masks, made_with
from siaf.cvat.frames import JobFrames
from siaf.errors import InputError, StateError
from siaf.masks import IndexMask, index_mask_to_rles, rles_to_index_mask
from siaf.video import frame_digest

Json = dict[str, Any]

BUDGET_S = 10.0
RETRY_DELAYS_S = (0.5, 2.0, 5.0)
_TIMEOUT = urllib3.Timeout(connect=10.0, read=180.0)
_MISSING_BATCH = 1000


class FunctionClient:
    """The function's HTTP side: JSON or bytes in and out. `sent` and `requests` count what it was asked.

    Every call may be sent again, so that all are, when the connection breaks or the function is busy. Raises
    ServerFault if that does not help, InputError naming "url" or "token", StateError for a state that does not fit.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise InputError(f"{url!r} is not an http(s) address", field="url")
        self.url = url.rstrip("/")
        self.requests = 0
        self.sent = 0
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(retries=False, timeout=_TIMEOUT)

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """A call with a JSON answer."""
        data = None if body is None else json.dumps(body).encode()
        answer = self.raw(method, path, data, "application/json")
        try:
            return dict(json.loads(answer))
        except ValueError:
            raise InputError(f"{self.url} does not answer as a siaf function does", field="url") from None

    def raw(self, method: str, path: str, body: bytes | None = None, kind: str = "application/octet-stream") -> bytes:
        """A call with an answer of bytes."""
        for delay in [*RETRY_DELAYS_S, None]:
            try:
                return self._once(method, path, body, kind)
            except ServerFault as error:
                if delay is None or isinstance(error, Gone | Stale):
                    raise
                time.sleep(delay)
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: bytes | None, kind: str) -> bytes:
        self.requests += 1
        self.sent += len(body or b"")
        headers = {**self._headers, **({"Content-Type": kind} if body is not None else {})}
        try:
            response = self._pool.request(method, self.url + path, body=body, headers=headers)
        except urllib3.exceptions.NameResolutionError:
            raise InputError(f"there is no host of this name: {self.url}", field="url") from None
        except urllib3.exceptions.HTTPError as error:
            raise ServerFault(f"the function at {self.url} does not answer ({error})") from None
        if response.status < 300:
            return response.data
        raise self._error(response.status, response.data)

    def _error(self, status: int, data: bytes) -> Exception:
        try:
            said = json.loads(data)["error"]
            code, text = str(said["code"]), str(said["message"])
            field = f" ({said['field']})" if said.get("field") else ""
        except (ValueError, KeyError, TypeError):
            code, text, field = "", "no reason given", ""
        if status == 401:
            return InputError(f"the function refuses the token: {text}", field="token")
        if status == 404:
            return Gone(f"{text}{field}")
        if status == 409:
            return Stale(f"the session was changed by somebody else: {text}")
        if status == 422 and "state" in text:
            return StateError(text, field="state")
        if status >= 500:
            return ServerFault(f"the function at {self.url} failed: {status} {code} {text}")
        return InputError(f"refused by the function: {status} {text}{field}", field="url")


class Gone(ServerFault):
    """The session, or what else was asked for, is not there (any more)."""


class Stale(ServerFault):
    """The session moved on; the next call starts from the state that is in the store."""


class RemoteEngine:
    """A session in a function. `memo` keeps its id and revision between calls; `digests` what is known of the frames.

    A session that was forgotten, or is not as this client left it, is made anew from `state`.
    """

    def __init__(
        self,
        function: FunctionClient,
        frames: JobFrames,
        state: bytes | None,
        memo: dict[str, str],
        digests: dict[int, str],
    ) -> None:
        self._function = function
        self._before = function.requests
        self._frames = frames
        self._memo = memo
        self._digests = digests
        self._suggest: list[int] = []
        self.uploaded_frames = self.uploaded = 0
        self.restarted = False
        self._tags: list[int] = []
        self._done = 0
        info = self._resume()
        if info is not None:
            self._upload()
            self._tags, self._done = [entry["tag"] for entry in info["objects"]], info["done"]
        else:
            self._begin(state)

    def interact(self, call: Interaction) -> dict[int, IndexMask]:
        """As `Session.interact`."""
        tags = {s.tag for strokes in call.strokes.values() for s in strokes if s.tag} | set(self._tags)
        tags |= {tag for boxes in call.boxes.values() for tag in boxes}
        references = []
        for frame, mask in call.references.items():
            rles = index_mask_to_rles(mask)
            tags |= set(rles)
            about = {"about": sorted(call.about[frame])} if frame in call.about else {}
            masks = [{"tag": tag, "rle": rle} for tag, rle in rles.items()]
            references.append({"frame": frame, "masks": masks, **about})
        body: Json = {
            "revision": int(self._memo["revision"]),
            "scribbles": [
                {
                    "frame": frame,
                    "strokes": [
                        {"tag": s.tag, "points": s.points.tolist(), "width": s.width, "polarity": s.polarity}
                        for s in strokes
                    ],
                }
                for frame, strokes in call.strokes.items()
            ],
            "references": references,
            "objects": [{"tag": tag, "label": label} for tag, label in call.labels.items() if tag in tags],
        }
        if call.boxes:
            framed = ((frame, tag, box) for frame, boxes in call.boxes.items() for tag, box in boxes.items())
            body["boxes"] = [{"frame": frame, "tag": tag, "box": list(box)} for frame, tag, box in framed]
        answer = self._call("POST", "/rounds", body)
        self._tags = sorted(tags)
        self._done = 0
        return {
            entry["frame"]: rles_to_index_mask(
                {mask["tag"]: mask["rle"] for mask in entry["masks"]},
                height=self._frames.height,
                width=self._frames.width,
            )
            for entry in answer["frames"]
        }

    def remove_object(self, tag: int) -> None:
        """As `Session.remove_object`."""
        self._call("DELETE", f"/objects/{tag}")
        self._tags.remove(tag)

    def inherit(self, state: bytes) -> None:
        """The function itself looks whether the frames are the same."""
        self._put_state(state)
        self._tags = [entry["tag"] for entry in self._function.ask("GET", self._path())["objects"]]

    def propagate(self, progress: Progress) -> None:
        """As `Session.propagate`, in calls of limited time."""
        while True:
            body = {"budget_s": BUDGET_S, "after": self._done, "revision": int(self._memo["revision"])}
            answer = self._call("POST", "/propagate", body)
            self._done = answer["done"]
            progress(self._done, answer["total"])
            if self._done == answer["total"]:
                self._suggest = answer["suggest"]
                return

    def suggest(self) -> list[int]:
        """What the function said when it was done."""
        return self._suggest

    def state(self) -> bytes:
        """The session as the content of a state file."""
        return self._function.raw("GET", self._path() + "/state")

    def tags(self) -> list[int]:
        """Objects that the session has."""
        return list(self._tags)

    @property
    def calls(self) -> int:
        """Requests to the function so far."""
        return self._function.requests - self._before

    # -- inside ---------------------------------------------------------------------------------------------------

    def _resume(self) -> Json | None:
        if self._memo.get("url") != self._function.url:
            return None
        try:
            info = self._function.ask("GET", self._path())
        except Gone:
            return None
        return info if str(info["revision"]) == self._memo["revision"] else None

    def _begin(self, state: bytes | None) -> None:
        body = {"frames": len(self._frames), "width": self._frames.width, "height": self._frames.height}
        info = self._function.ask("POST", "/v1/sessions", body)
        self._memo |= {"url": self._function.url, "session": info["id"], "revision": str(info["revision"])}
        self._upload()
        if state is None:
            return
        about = self._function.ask("GET", "/v1/info")
        if made_with(state, about["model"], about["weights"]):
            self._put_state(state)
            info = self._function.ask("GET", self._path())
            self._tags, self._done = [entry["tag"] for entry in info["objects"]], info["done"]
        else:
            self.restarted = True
            begin_with_masks(self, state)

    def _upload(self) -> None:
        """Send the frames that the function lacks: it knows them by content, from any session."""
        for frame in range(len(self._frames)):
            if frame not in self._digests:
                self._digests[frame] = frame_digest(self._frames[frame])
        missing: list[int] = []
        for start in range(0, len(self._frames), _MISSING_BATCH):
            frames = range(start, min(start + _MISSING_BATCH, len(self._frames)))
            known = [{"frame": frame, "digest": self._digests[frame]} for frame in frames]
            missing = self._function.ask("POST", self._path() + "/frames/missing", {"digests": known})["missing"]
        for frame in missing:
            data = self._frames.encoded(frame)
            self._function.raw("PUT", f"{self._path()}/frames/{frame}", data)
            self.uploaded += len(data)
            self.uploaded_frames += 1

    def _put_state(self, state: bytes) -> None:
        answer = json.loads(self._function.raw("PUT", self._path() + "/state", state))
        self._memo["revision"] = str(answer["revision"])

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        answer = self._function.ask(method, self._path() + path, body)
        self._memo["revision"] = str(answer["revision"])
        return answer

    def _path(self) -> str:
        return f"/v1/sessions/{self._memo['session']}"


def remote_engines(function: FunctionClient) -> EngineFactory:
    """Sessions in a function."""

    def make(frames: JobFrames, state: bytes | None, memo: dict[str, str], digests: dict[int, str]) -> Engine:
        return RemoteEngine(function, frames, state, memo, digests)

    return make
