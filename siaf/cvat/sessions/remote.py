"""A session in a deployed function, over its `/v1` calls (docs/openapi.json)."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from siaf.cvat.job.frames import JobFrames
from siaf.cvat.server.answers import Form
from siaf.cvat.sessions.base import JobSession, Progress, SessionFactory, begin_with_masks
from siaf.cvat.sessions.function_client import FunctionClient, Gone, Json
from siaf.frames.source import frame_digest
from siaf.masks import IndexMask, index_mask_to_rles, rles_to_index_mask
from siaf.prompts import Prompts
from siaf.session.state_file import made_with, read_summary, with_digests

T = TypeVar("T")

BUDGET_S = 10.0
_CHANGED: Mapping[str, Form] = {"revision": object}
_SESSION: Form = {**_CHANGED, "id": str, "objects": [{"tag": int}], "done": int}
_ROUND: Form = {**_CHANGED, "frames": [{"frame": int, "masks": [{"tag": int, "rle": [float]}]}]}
_PROGRESS: Form = {**_CHANGED, "done": int, "total": int, "suggest": object}
_MISSING_BATCH = 1000


class RemoteSession:
    """A session in a function. `memo` keeps its id and revision between calls; `digests` what is known of the frames.

    A session that was forgotten, or is not as this client left it, is made anew from `state`; also in the middle, from
    the last state that was seen and what was done since.
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
        self._kept = state
        self._steps: list[Callable[[], object]] = []
        self._renewing = False
        info = self._resume()
        if info is not None:
            self._tags, self._done = [entry["tag"] for entry in info["objects"]], info["done"]
            self._enduring(self._upload)
        else:
            self._renew()

    def interact(self, prompts: Prompts, labels: Mapping[int, str]) -> dict[int, IndexMask]:
        """As `Session.interact_with`."""
        tags = prompts.tags | set(self._tags)
        body: Json = {"scribbles": [], "references": []}
        boxes: list[Json] = []
        for frame, here in prompts.items():
            if here.strokes:
                strokes = [
                    {"tag": s.tag, "points": s.points.tolist(), "width": s.width, "polarity": s.polarity}
                    for s in here.strokes
                ]
                body["scribbles"].append({"frame": frame, "strokes": strokes})
            if here.mask is not None:
                about = {} if here.about is None else {"about": sorted(here.about)}
                masks = [{"tag": tag, "rle": rle} for tag, rle in index_mask_to_rles(here.mask).items()]
                body["references"].append({"frame": frame, "masks": masks, **about})
            boxes += [{"frame": frame, "tag": tag, "box": list(box)} for tag, box in here.boxes.items()]
        body["objects"] = [{"tag": tag, "label": label} for tag, label in labels.items() if tag in tags]
        if boxes:
            body["boxes"] = boxes
        answer = self._change("POST", "/rounds", body, _ROUND)
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
        self._change("DELETE", f"/objects/{tag}")
        self._tags.remove(tag)

    def inherit(self, state: bytes) -> None:
        """The function itself looks whether the frames are the same."""
        self._enduring(lambda: self._put_state(self._recognised(state)))
        self._kept = state
        self._tags = [entry["tag"] for entry in self._enduring(self._info)["objects"]]

    def limit(self, within: range | None, barriers: Sequence[int]) -> None:
        """As `Session.within` and `Session.barriers`."""
        body = {"within": None if within is None else [within.start, within.stop], "barriers": list(barriers)}
        self._done = self._change("PUT", "/limits", body, {**_CHANGED, "done": int})["done"]

    def propagate(self, progress: Progress, adapt: bool | None = None) -> None:
        """As `Session.propagate`, in calls of limited time. `adapt` None: as the function is set."""
        self._fill(progress, adapt)
        self._steps.append(lambda: self._fill(lambda done, total: None, adapt))

    def suggest(self) -> list[int]:
        """What the function said when it was done."""
        return self._suggest

    def state(self) -> bytes:
        """The session as the content of a state file."""
        self._kept = self._enduring(lambda: self._function.raw("GET", self._path() + "/state"))
        self._steps = []
        return self._kept

    def tags(self) -> list[int]:
        """Objects that the session has."""
        return list(self._tags)

    @property
    def calls(self) -> int:
        """Requests to the function so far."""
        return self._function.requests - self._before

    # -- inside ---------------------------------------------------------------------------------------------------

    def _fill(self, progress: Progress, adapt: bool | None) -> None:
        while True:
            answer = self._enduring(lambda: self._propagate(adapt))
            self._done = answer["done"]
            progress(self._done, answer["total"])
            if self._done == answer["total"]:
                self._suggest = answer["suggest"]
                return

    def _propagate(self, adapt: bool | None) -> Json:
        body: Json = {"budget_s": BUDGET_S, "after": self._done, "adapt": adapt}
        return self._call("POST", "/propagate", body, _PROGRESS)

    def _info(self) -> Json:
        return self._function.ask("GET", self._path(), form=_SESSION)

    def _enduring(self, call: Callable[[], T]) -> T:
        """What the call gives, also if the function forgot the session: it was killed, or had no place for it."""
        try:
            return call()
        except Gone:
            if self._renewing:
                raise
        self._renew()
        return call()

    def _renew(self) -> None:
        steps, tags = self._steps, self._tags
        self._renewing = True
        try:
            try:
                self._begin(self._kept)
            except Gone:  # killed while it was given the frames
                self._begin(self._kept)
            for step in steps:
                self._done = 0
                step()
        finally:
            self._renewing = False
        if steps:
            self._steps, self._tags = steps, tags

    def _resume(self) -> Json | None:
        if self._memo.get("url") != self._function.url:
            return None
        try:
            info = self._info()
        except Gone:
            return None
        return info if str(info["revision"]) == self._memo["revision"] else None

    def _begin(self, state: bytes | None) -> None:
        body = {"frames": len(self._frames), "width": self._frames.width, "height": self._frames.height}
        info = self._function.ask("POST", "/v1/sessions", body, {"id": str, "revision": object})
        self._memo |= {"url": self._function.url, "session": info["id"], "revision": str(info["revision"])}
        self._upload()
        if state is None:
            return
        about = self._function.ask("GET", "/v1/info", form={"model": object, "weights": object})
        if made_with(state, about):
            self._put_state(self._recognised(state))
            info = self._info()
            self._tags, self._done = [entry["tag"] for entry in info["objects"]], info["done"]
        else:
            self.restarted = True
            begin_with_masks(self, state)
            self._steps = []  # the same state says the same once more

    def _upload(self) -> None:
        """Send the frames that the function lacks: it knows them by content, from any session."""
        for frame in range(len(self._frames)):
            if frame not in self._digests:
                self._digests[frame] = frame_digest(self._frames[frame])
        missing: list[int] = []
        for start in range(0, len(self._frames), _MISSING_BATCH):
            frames = range(start, min(start + _MISSING_BATCH, len(self._frames)))
            known = [{"frame": frame, "digest": self._digests[frame]} for frame in frames]
            asked = self._path() + "/frames/missing"
            missing = self._function.ask("POST", asked, {"digests": known}, {"missing": [int]})["missing"]
        for frame in missing:
            data = self._frames.encoded(frame)
            answer = self._function.raw("PUT", f"{self._path()}/frames/{frame}", data)
            self._digests[frame] = self._function.read(answer, {"digest": str})["digest"]
            self.uploaded += len(data)
            self.uploaded_frames += 1

    def _recognised(self, state: bytes) -> bytes:
        """A state with the digests that the function knows the frames by, where they show what it was made on.

        Earlier versions read videos a little differently; only who has the video can tell.
        """
        summary = read_summary(state)
        if summary.frames != len(self._frames):
            return state
        known = summary.digests.items()
        others = [f for f, digest in known if digest != self._digests[f] and self._frames.shows(f, digest)]
        return with_digests(state, {f: self._digests[f] for f in others}) if others else state

    def _put_state(self, state: bytes) -> None:
        answer = self._function.read(self._function.raw("PUT", self._path() + "/state", state), _CHANGED)
        self._memo["revision"] = str(answer["revision"])

    def _change(self, method: str, path: str, body: Json | None = None, form: Form = _CHANGED) -> Json:
        """A call that is repeated if the session has to be made anew."""
        answer = self._enduring(lambda: self._call(method, path, body, form))
        self._steps.append(lambda: self._call(method, path, body, form))
        return answer

    def _call(self, method: str, path: str, body: Json | None, form: Form) -> Json:
        known = None if body is None else {"revision": int(self._memo["revision"]), **body}
        answer = self._function.ask(method, self._path() + path, known, form)
        self._memo["revision"] = str(answer["revision"])
        return answer

    def _path(self) -> str:
        return f"/v1/sessions/{self._memo['session']}"


def remote_sessions(function: FunctionClient) -> SessionFactory:
    """Sessions in a function."""

    def make(frames: JobFrames, state: bytes | None, memo: dict[str, str], digests: dict[int, str]) -> JobSession:
        return RemoteSession(function, frames, state, memo, digests)

    return make
