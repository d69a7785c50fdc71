"""CVAT's interactor: all clicks and boxes on a frame in, the clicked object's mask out."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from function.http.contracts import MAX_CLICKS, InteractorRequest
from function.http.messages import Reply, Request, bad_request, request_fields, too_large
from function.http.routing import parse
from function.runtime.timing import note_session, phase
from function.settings import Settings
from function.state.pictures import Picture, read_picture
from function.state.sessions import Sessions
from siaf import Session
from siaf.boxes import as_box
from siaf.interactive.clicks import Clicks, Segment, segment_clicks
from siaf.masks import Bitmap

_HISTORY = 32
_HISTORY_TTL_S = 3600.0

Pairs = list[list[float]]


@dataclass(frozen=True)
class _Call:
    """What was asked on a frame and, once answered, the masks, so that the next call, with a click more, starts there.

    `context` is the session and revision that took part, empty for a session of one frame.
    """

    context: str
    pos: Pairs
    neg: Pairs
    boxes: Pairs
    threshold: float | None
    rles: dict[str, list[int]] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)

    def part_of(self, other: "_Call") -> bool:
        """All of this call's clicks are among the other's, and everything else is the same."""
        return (
            (self.context, self.boxes, self.threshold) == (other.context, other.boxes, other.threshold)
            and not Counter(map(tuple, self.pos)) - Counter(map(tuple, other.pos))
            and not Counter(map(tuple, self.neg)) - Counter(map(tuple, other.neg))
        )

    @property
    def clicks(self) -> int:
        """How many clicks it had."""
        return len(self.pos) + len(self.neg)

    def segments(self, size: tuple[int, int]) -> list[Segment]:
        """The objects of an answered call."""
        return [Segment(int(tag), self.rles.get(tag), score, size) for tag, score in self.confidence.items()]

    def answered(self, segments: list[Segment]) -> "_Call":
        """The same with its answer."""
        rles = {str(s.tag): s.rle for s in segments if s.rle is not None}
        return replace(self, rles=rles, confidence={str(s.tag): s.confidence for s in segments})


class Interactor:
    """Stateless towards CVAT: what is remembered of a frame's clicks is found by the frame's own pixels."""

    def __init__(self, sessions: Sessions, settings: Settings) -> None:
        self._sessions, self._settings = sessions, settings

    def answer(self, request: Request) -> Reply:
        """The reply to `pos_points`, `neg_points`, `obj_bbox`."""
        body = parse(InteractorRequest, request)
        picture = read_picture(body.image, self._settings.max_pixels)
        clicks = _clicks(body, *picture.size)
        _check_objects(len(clicks.boxes), picture, self._settings.max_object_pixels)
        if self._settings.interactor_reply != "shapes":
            self._check_answer(picture.size, 0)
        # A labeler's click does not fail because of a session, which may be somebody else's: whatever is wrong with it,
        # the picture is then looked at alone. What is wrong with the click itself comes up there again.
        found = self._session_of(picture)
        try:
            segments = self._segments(picture, found, clicks, body)
        except Exception:
            if found is None:
                raise
            found = None
            segments = self._segments(picture, found, clicks, body)
        with phase("encode"):
            return Reply(self._body(segments, picture.size, grouped=bool(found)))

    def _session_of(self, picture: Picture) -> tuple[str, Session, int] | None:
        """Name of state, session and frame number, if the picture is a frame of an open session."""
        try:
            place = self._sessions.of_frame(picture.digest)
            if place is None or (place[0].height, place[0].width) != picture.size:
                return None
            record, session = self._sessions.view(place[0].id)
        except Exception:  # expired, of other weights or another input size, damaged
            return None
        note_session(record.id)
        return f"{record.id}/{record.revision}", session, place[1]

    def _segments(
        self, picture: Picture, found: tuple[str, Session, int] | None, clicks: Clicks, body: InteractorRequest
    ) -> list[Segment]:
        """The clicked objects, from the answer to fewer of these clicks on; FramesMissing if the session lacks some."""
        name, session, frame = found or ("", Session(self._sessions.model, [picture.pixels]), 0)
        asked = _Call(name, body.pos_points or [], body.neg_points or [], body.obj_bbox or [], body.threshold)
        past = self._history(picture.digest)
        best = max((p for p in past if p.part_of(asked)), key=lambda p: p.clicks, default=None)
        before = best.segments(picture.size) if best else []
        if best and best.clicks == asked.clicks:
            return before
        earlier = {s.tag: s.rle for s in before if s.rle is not None}
        with phase("model"), request_fields(positive="pos_points", negative="neg_points", boxes="obj_bbox"):
            segments = segment_clicks(session, frame, clicks, earlier=earlier, threshold=body.threshold)
        self._remember(picture.digest, asked.answered(segments))
        return segments

    def _body(self, segments: list[Segment], size: tuple[int, int], grouped: bool) -> str:
        form = self._settings.interactor_reply
        parts = []
        if form != "shapes":
            union = np.zeros(size, bool)
            for segment in segments:
                union |= segment.mask
            self._check_answer(size, int(union.sum()))
            parts.append(f'"mask": {mask_json(union)}')
        if form != "mask":
            shapes = [_shape(segment, segment.rle, grouped) for segment in segments if segment.rle is not None]
            parts.append(f'"shapes": {json.dumps(shapes)}')
        return "{" + ", ".join(parts) + "}"

    def _check_answer(self, size: tuple[int, int], inside: int) -> None:
        """A mask is one number for every pixel of the picture, and no answer is larger than a request may be."""
        pixels, most = size[0] * size[1], self._settings.max_body_bytes
        answer = 2 * pixels + 2 * inside  # "0," and "255,"
        if answer > most:
            raise too_large(
                f"{pixels} pixels make an answer of {answer} bytes or more, at most {most} (SIAF_MAX_BODY_BYTES);"
                " with SIAF_INTERACTOR_REPLY=shapes it would be small",
                "image",
            )

    def _history(self, digest: str) -> list[_Call]:
        data = self._sessions.store.get(f"clicks/{digest}")
        return [_Call(**entry) for entry in json.loads(data)] if data else []

    def _remember(self, digest: str, call: _Call) -> None:
        """Add to the frame's calls. It is only a memory aid: if others write at the same time, it is left out."""
        store, key = self._sessions.store, f"clicks/{digest}"
        for _ in range(5):
            data = store.get(key)
            entries = [*(json.loads(data) if data else []), asdict(call)][-_HISTORY:]
            if store.swap(key, data, json.dumps(entries).encode(), _HISTORY_TTL_S):
                return


def _check_objects(count: int, picture: Picture, most: int) -> None:
    """Every object has a bitmap of the picture's size."""
    pixels = picture.pixels.shape[0] * picture.pixels.shape[1]
    if count > 1 and count * pixels > most:
        raise too_large(f"{count} boxes on {pixels} pixels; their product may be {most} at most", "obj_bbox")


def _clicks(body: InteractorRequest, height: int, width: int) -> Clicks:
    corners = body.obj_bbox or []
    for name, pairs in (
        ("pos_points", body.pos_points),
        ("neg_points", body.neg_points),
        ("obj_bbox", corners),
    ):
        if len(pairs or []) > MAX_CLICKS:
            raise too_large(f"{len(pairs or [])} points, at most {MAX_CLICKS}", name)
    if len(corners) % 2:
        raise bad_request(f"a box has two corners; {len(corners)} points are none", "obj_bbox")
    boxes = tuple(
        as_box([*first, *second], height=height, width=width, field="obj_bbox")
        for first, second in zip(corners[::2], corners[1::2], strict=True)
    )
    return Clicks(_points(body.pos_points), _points(body.neg_points), boxes)


def _points(pairs: Pairs | None) -> NDArray[np.float64]:
    return np.array(pairs or [], np.float64).reshape(-1, 2)


def _shape(segment: Segment, rle: list[int], grouped: bool) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "type": "mask",
        "points": rle,
        "attributes": [{"spec_id": 0, "value": f"{segment.confidence:.2f}"}],
    }
    if grouped:  # the object of a session: other tools find it by its tag
        shape |= {"tag": segment.tag, "group": segment.tag}
    return shape


def mask_json(mask: Bitmap) -> str:
    """A bitmap as rows of 0 and 255. Made as text at once: through Python numbers a 4K mask takes seconds."""
    height, width = mask.shape
    text = np.full((height, 2 * width + 2), ord(","), np.uint8)
    text[:, 0], text[:, -2] = ord("["), ord("]")
    text[:, 1:-2:2] = mask + ord("0")
    return "[" + text.tobytes()[:-1].replace(b"1", b"255").decode() + "]"
