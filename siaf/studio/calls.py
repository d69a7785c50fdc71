"""The studio's calls: from a request to the desk, and from what it shows to a reply."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from function.http.messages import ApiError, Reply, Request, bad_request, impossible, not_found, request_fields
from function.http.prompts import masks_of, prompts_of
from function.http.routing import parse
from function.http.schemas import (
    FrameMasks,
    FrameStrokes,
    LimitsRequest,
    RevisionRequest,
    RoundReply,
    RoundRequest,
)
from siaf.arguments import frame_range
from siaf.masks import IndexMask, index_mask_to_rles
from siaf.session.close_ups import shows_more
from siaf.session.session import Session
from siaf.session.state_file import dump_session
from siaf.studio.access import SAFE, TAB_HEADER
from siaf.studio.clip import Clip
from siaf.studio.desk import Desk
from siaf.studio.edits import edit_objects, take_round
from siaf.studio.export import formats_of, make_attachment
from siaf.studio.holding import Holder
from siaf.studio.pictures import SMALLEST, Pictures
from siaf.studio.schemas import HoldRequest, ObjectsRequest, PreviewReply, PreviewRequest, ShownRequest
from siaf.version import siaf_version

PAGE = 1
"""The number of this contract: a page of another one asks to be loaded again."""
_MOST_MASKS = 200
"""Frames in one answer."""
_FOREVER = "private, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asked(Request):
    """A request to the studio, with what follows the question mark."""

    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def tab(self) -> str | None:
        """The tab that asks."""
        return self.header(TAB_HEADER)


class Calls:
    """The table of calls."""

    def __init__(self, clip: Clip, desk: Desk, holder: Holder) -> None:
        self._clip, self._desk, self._holder = clip, desk, holder
        self._frames = clip.frames.another()
        self._pictures = Pictures(self._frames)
        self._version = siaf_version()

    def answer(self, request: Asked) -> Reply:
        """A call of the page. Raises ApiError, InputError or another SiafError."""
        holds = self._holder.hear(request.tab)
        call, arguments = self._find(request)
        if request.method not in SAFE and call is not Calls.hold and not holds:
            self._require(request)
        return call(self, request, *arguments)

    def _find(self, request: Asked) -> tuple[Callable[..., Reply], list[str]]:
        parts = request.path.removeprefix("/api/").split("/")
        allowed = []
        for method, pattern, call in _TABLE:
            names = pattern.split("/")
            if len(names) == len(parts) and all(n in ("*", p) for n, p in zip(names, parts, strict=True)):
                if method == request.method:
                    return call, [p for n, p in zip(names, parts, strict=True) if n == "*"]
                allowed.append(method)
        if allowed:
            headers = {"Allow": ", ".join(allowed)}
            raise ApiError(HTTPStatus.METHOD_NOT_ALLOWED, "method", f"use {' or '.join(allowed)}", "method", headers)
        raise not_found("there is no such call", "path")

    def _require(self, request: Asked) -> None:
        """ApiError 423 unless the tab holds the desk, or nobody does."""
        if request.tab is None:
            raise bad_request("a tab says which one it is", TAB_HEADER)
        if not self._holder.ask(request.tab):
            raise ApiError(
                HTTPStatus.LOCKED, "readonly", "another tab works on this session; take it over there", TAB_HEADER
            )

    # -- looking --------------------------------------------------------------------------------------------------

    def session(self, request: Asked) -> Reply:
        """`GET api/session`: everything but masks. Of a long session stats come bit by bit, the rest with progress."""
        clip, view = self._clip, self._desk.view
        job = clip.job
        return _json(
            {
                "page": PAGE,
                "version": self._version,
                "key": clip.key,
                "name": clip.name,
                "frames": len(self._frames),
                "width": self._frames.width,
                "height": self._frames.height,
                "fps": None if self._frames.names is not None else self._frames.fps,
                "model": self._desk.model,
                "revision": view.revision,
                **view.said,
                "saved": asdict(self._desk.saved),
                "labels": [asdict(label) for label in clip.labels],
                "propagation": asdict(view.propagation),
                "suggested": view.suggested,
                "shrunk": view.shrunk,
                "stats": view.stats,
                "job": None if job is None else asdict(job),
                "formats": formats_of(clip),
                "notes": list(clip.notes),
                "holder": self._holder.hear(request.tab),
            }
        )

    def frame(self, request: Asked, number: str) -> Reply:
        """`GET api/frames/{n}`: a JPEG of the frame, of `width` pixels where that is given and less than it has."""
        frame = self._number(number, "frame")
        width = _whole(request.query["width"], "width") if "width" in request.query else None
        if width is not None and width < SMALLEST:
            raise bad_request(f"at least {SMALLEST} pixels", "width")
        tag = f'"{self._clip.key}-{frame}-{width or 0}"'
        headers = {"ETag": tag, "Cache-Control": _FOREVER}
        if request.header("if-none-match") == tag:
            return Reply(b"", HTTPStatus.NOT_MODIFIED, "image/jpeg", headers)
        return Reply(self._pictures.jpeg(frame, width), content_type="image/jpeg", headers=headers)

    def masks(self, request: Asked) -> Reply:
        """`GET api/masks`: of `frames`, or of `first` to `last`; as they are, or `of=before` the last round."""
        which = request.query.get("of", "now")
        if which not in ("now", "before"):
            raise bad_request('"now" or "before"', "of")
        frames, view = self._asked_frames(request), self._desk.view
        found = []
        for frame in frames:
            mask = view.mask(frame, before=which == "before")
            source = "none" if mask is None else "drawn" if frame in view.drawn else "propagated"
            rles = {} if mask is None else index_mask_to_rles(mask)
            masks = [{"tag": tag, "rle": rle} for tag, rle in rles.items()]
            found.append({"frame": frame, "source": source, "masks": masks})
        return _json({"revision": view.revision, "frames": found})

    def progress(self, request: Asked) -> Reply:
        """`GET api/progress`: in `done`, frames that came since people last changed something, from the `after`-th on.

        A page that claims more than there are gets all: they are of another start or change.
        """
        view = self._desk.view
        after = _whole(request.query.get("after", "0"), "after")
        after = after if after <= len(view.log) else 0
        return _json(
            {
                "revision": view.revision,
                "propagation": asdict(view.propagation),
                "done": view.log[after:],
                "suggested": view.suggested,
                "shrunk": view.shrunk,
                "saved": asdict(self._desk.saved),
                "writing": self._desk.writing,
                "holder": self._holder.hear(request.tab),
            }
        )

    def export(self, request: Asked, name: str) -> Reply:
        """`GET api/export/{format}`"""
        formats = formats_of(self._clip)
        if name not in formats:
            raise not_found(f"no such format; there are {', '.join(formats)}", "format")
        state, frames = self._desk.look(dump_session).result(), self._clip.frames.another()
        colors = {known["tag"]: known["color"] for known in self._desk.view.said["objects"]}
        with tempfile.TemporaryDirectory(prefix="siaf-") as folder:
            made = make_attachment(Path(folder), state, frames, colors, name=self._clip.name, kind=name)
            content = made.path.read_bytes()
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(made.name, safe='')}",
            "Cache-Control": "no-store",
        }
        return Reply(content, content_type=made.media_type, headers=headers)

    # -- drawing --------------------------------------------------------------------------------------------------

    def hold(self, request: Asked) -> Reply:
        """`POST api/hold`: a tab asks to be the one that may change the session."""
        body = parse(HoldRequest, request)
        return _json({"holder": self._holder.ask(body.tab, take=body.take)})

    def shown(self, request: Asked) -> Reply:
        """`POST api/shown`: a frame is looked at, so that the first preview there comes sooner; answered at once."""
        frame = parse(ShownRequest, request).frame
        self._check_frame(frame, "frame")
        self._desk.shown(frame)
        return _json({}, HTTPStatus.ACCEPTED)

    def preview(self, request: Asked) -> Reply:
        """`POST api/preview`: the masks that a round of this alone would give on the frame, or a sketch of them."""
        body = parse(PreviewRequest, request)
        self._check_frame(body.frame, "frame")
        for i, box in enumerate(body.boxes):
            if box.frame != body.frame:
                raise impossible(f"is of frame {box.frame}, not {body.frame}", f"boxes[{i}].frame")
        drawn = [FrameStrokes(frame=body.frame, strokes=body.strokes)] if body.strokes else []
        given = prompts_of(RoundRequest(revision=0, scribbles=drawn, boxes=body.boxes), **self._size)
        if not given:
            raise impossible("needs a stroke or a box", "strokes")
        self._desk.drawn_on(body.frame)

        def preview(session: Session) -> tuple[IndexMask, bool]:
            sketch = body.sketch and session.model.segmenter is not None and shows_more(session.height, session.width)
            return session.preview_round(given, body.elsewhere, close_ups=not sketch)[body.frame], sketch

        mask, sketch = self._desk.look(preview, key=f"preview {request.tab}").result()
        reply = PreviewReply(frame=body.frame, masks=masks_of(mask), sketch=sketch)
        return _reply(reply.model_dump_json())

    def round(self, request: Asked) -> Reply:
        """`POST api/rounds`: take a round of `/v1`'s form; it ends a propagation. Sent again, it is answered again."""
        body = parse(RoundRequest, request)
        given = prompts_of(body, **self._size)
        for frame in given:
            self._desk.drawn_on(frame)
        took = self._desk.change(None, take_round(self._desk, body, given, self._clip.labels)).result()
        return _reply(
            RoundReply(
                revision=took.revision,
                round=took.number,
                frames=[FrameMasks(frame=frame, masks=masks_of(mask)) for frame, mask in took.masks.items()],
                total=took.total,
            ).model_dump_json()
        )

    def propagate(self, request: Asked) -> Reply:
        """`POST api/propagate`: begin or go on, in the background."""
        self._desk.propagate(parse(RevisionRequest, request).revision).result()
        return self._under_way()

    def stop(self, request: Asked) -> Reply:
        """`POST api/stop`: stop propagating; what is done stays."""
        self._desk.stop().result()
        return self._under_way()

    def undo(self, request: Asked) -> Reply:
        """`POST api/undo`: take the last round back, or the last swap, merge or split."""
        body = parse(RevisionRequest, request)
        self._desk.change(body.revision, Session.undo).result()
        return self.session(request)

    def limits(self, request: Asked) -> Reply:
        """`PUT api/limits`: frames from the first of `within` to the one before its second; barriers."""
        body = parse(LimitsRequest, request)

        def limit(session: Session) -> None:
            within = None if body.within is None else range(*body.within)
            if within is not None:
                frame_range(within, len(session.frames), "within")
            session.barriers = body.barriers
            session.within = within

        self._desk.change(body.revision, limit).result()
        return self.session(request)

    def objects(self, request: Asked) -> Reply:
        """`POST api/objects`: name, remove, swap, merge or split objects."""
        body = parse(ObjectsRequest, request)
        with request_fields(objects="tags", object="tags", tag="tags"):
            self._desk.change(body.revision, edit_objects(body, self._clip)).result()
        return self.session(request)

    def write(self, request: Asked) -> Reply:
        """`POST api/write`: write the masks to the CVAT job."""
        return _json({"lines": self._desk.write().result()})

    # -- inside ---------------------------------------------------------------------------------------------------

    @property
    def _size(self) -> dict[str, int]:
        return {"frames": len(self._frames), "height": self._frames.height, "width": self._frames.width}

    def _under_way(self) -> Reply:
        view = self._desk.view
        return _json({"revision": view.revision, "propagation": asdict(view.propagation)}, HTTPStatus.ACCEPTED)

    def _number(self, text: str, name: str) -> int:
        number = _whole(text, name)
        self._check_frame(number, name)
        return number

    def _check_frame(self, frame: int, name: str) -> None:
        if frame >= len(self._frames):
            raise not_found(f"there is no frame {frame}, only 0 to {len(self._frames) - 1}", name)

    def _asked_frames(self, request: Asked) -> list[int]:
        query = request.query
        if "frames" in query:
            frames = [self._number(text, "frames") for text in query["frames"].split(",")]
        elif "first" in query and "last" in query:
            first, last = self._number(query["first"], "first"), self._number(query["last"], "last")
            if last < first:
                raise bad_request(f"is {last}, before the first, {first}", "last")
            frames = list(range(first, last + 1))
        else:
            raise bad_request("give frames, or first and last", "frames")
        if len(frames) > _MOST_MASKS:
            raise impossible(f"{len(frames)} frames, at most {_MOST_MASKS} in one call", "frames")
        return frames


def _json(content: Any, status: int = 200) -> Reply:
    return _reply(json.dumps(content, separators=(",", ":")), status)


def _reply(text: str, status: int = 200) -> Reply:
    return Reply(text, status, headers={"Cache-Control": "no-store"})


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise bad_request("must be a whole number, 0 or more", name)
    return int(text)


_TABLE: tuple[tuple[str, str, Callable[..., Reply]], ...] = (
    ("GET", "session", Calls.session),
    ("GET", "frames/*", Calls.frame),
    ("GET", "masks", Calls.masks),
    ("GET", "progress", Calls.progress),
    ("GET", "export/*", Calls.export),
    ("POST", "hold", Calls.hold),
    ("POST", "shown", Calls.shown),
    ("POST", "preview", Calls.preview),
    ("POST", "rounds", Calls.round),
    ("POST", "propagate", Calls.propagate),
    ("POST", "stop", Calls.stop),
    ("POST", "undo", Calls.undo),
    ("PUT", "limits", Calls.limits),
    ("POST", "objects", Calls.objects),
    ("POST", "write", Calls.write),
)
