"""`--via cvat`: a session in a deployed function that is reached through CVAT's own door only.

Everything is a tracker call on `POST /api/lambda/functions/{id}` (docs/architecture.md): CVAT checks the user's
rights and hands the frame to the function, so that no frame passes through this client. What CVAT cannot hand over is
the session itself: the store keeps masks and, for eight hours, CVAT's signed states. After that a round starts from
the masks of the interacted frames.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from siaf.cvat.job.frames import JobFrames
from siaf.cvat.server.answers import Form, UnexpectedAnswer, check_answer
from siaf.cvat.server.connection import Json, Refusal, Server
from siaf.cvat.sessions.base import JobSession, Progress, SessionFactory
from siaf.errors import InputError, StateError
from siaf.masks import MAX_TAG, IndexMask, decode_rle, index_mask_to_rles
from siaf.prompts import FramePrompts, Prompts
from siaf.session.annotations import erase_other_tags
from siaf.session.mask_store import MaskStore
from siaf.session.snapshot import SessionMasks
from siaf.session.state_file import read_masks
from siaf.session.state_writing import dump_masks

_EXPIRED = (400, 404, 422)
"""What CVAT answers to a state older than 8 hours, and the function to one that it forgot."""

_ANSWER: Mapping[str, Form] = {"frame": int, "states": [object]}
_MASKS: Mapping[str, Form] = {**_ANSWER, "shapes": [object], "next": object}
_PROGRESS: Form = {**_MASKS, "done": int, "total": int, "suggest": object}

_NO_POINTS: Json = {"type": "points", "points": [0.0, 0.0]}
"""A shape that is there for its other keys."""


class SessionThroughCvat:
    """A session that is driven by tracker calls. `memo` keeps CVAT's signed states and where propagation stands."""

    def __init__(
        self, server: Server, function: str, frames: JobFrames, state: bytes | None, memo: dict[str, str]
    ) -> None:
        self._server = server
        self._function = function
        self._frames = frames
        self._memo = memo
        self._masks = MaskStore(frames.height, frames.width)
        self._confidence: dict[int, dict[int, float]] = {}
        self._interacted: set[int] = set()
        self._suggest: list[int] = []
        self.restarted = False
        if memo.get("function") != function:
            memo.clear()
        memo["function"] = function
        if state is not None:
            self._take_masks(read_masks(state))

    def interact(self, prompts: Prompts, labels: Mapping[int, str]) -> dict[int, IndexMask]:
        """As `Session.interact_with`, without `labels`: collects frame by frame, then asks for these frames' masks."""
        if self._states() or not self._interacted:
            try:
                return self._interact(prompts)
            except Refusal as refusal:
                if refusal.status not in _EXPIRED or not self._states():
                    raise
        self._begin_again()
        return self._interact(prompts)

    def remove_object(self, tag: int) -> None:
        """Forget an object: here at once, in the function with the next round."""
        erase_other_tags(self._masks, keep=[other for other in self.tags() if other != tag])
        self._memo["removed"] = json.dumps(sorted({*self._removed(), tag}))

    def inherit(self, state: bytes) -> None:
        """Nothing: what the jobs share arrives as references."""

    def limit(self, within: range | None, barriers: Sequence[int]) -> None:
        """A function behind CVAT takes no limits."""
        if within is not None or barriers:
            name = "frames" if within is not None else "barriers"
            raise InputError("a session that is reached through CVAT knows no limits; use --url", field=name)

    def propagate(self, progress: Progress, adapt: bool | None = None) -> None:
        """Asks for frame after frame, as the function's own plan goes."""
        if adapt:
            raise InputError("a session that is reached through CVAT does not adapt; use --url", field="adapt")
        if not self._states():
            if not self._interacted:
                reason = "the jobs share no frame, and memory cannot travel through CVAT; use --url"
                raise InputError(reason, field="via")
            self._begin_again()
        while (frame := json.loads(self._memo["next"])) is not None:
            done = int(self._memo["done"])
            try:
                answer = self._call(frame, [None] * len(self._states()), _PROGRESS)
            except Refusal as refusal:
                if refusal.status not in _EXPIRED or self.restarted:
                    raise
                self._begin_again()
                continue
            if answer["done"] > done:
                self._take(frame, answer["shapes"])
            self._memo |= {"next": json.dumps(answer["next"]), "done": str(answer["done"])}
            self._suggest = answer["suggest"]
            progress(answer["done"], answer["total"])

    def suggest(self) -> list[int]:
        """What the function said when it was done."""
        return self._suggest

    def state(self) -> bytes:
        """The masks alone (`siaf.session.state_writing.dump_masks`)."""
        drawn = sorted(self._interacted)
        return dump_masks(
            SessionMasks(masks=self._masks, interacted=drawn, confidence=self._confidence, frames=len(self._frames))
        )

    def tags(self) -> list[int]:
        """Objects that some mask shows."""
        shown = np.zeros(MAX_TAG + 1, bool)
        for frame in self._masks:
            shown |= np.bincount(self._masks[frame].ravel(), minlength=MAX_TAG + 1) > 0
        return [int(tag) for tag in np.flatnonzero(shown) if tag]

    # -- inside ---------------------------------------------------------------------------------------------------

    def _begin_again(self) -> None:
        """The function forgot the session, or CVAT the states: go on from the masks that the interacted frames had."""
        self._memo.pop("states", None)
        self.restarted = True
        self._interact(Prompts({frame: FramePrompts(mask=self._masks[frame]) for frame in sorted(self._interacted)}))

    def _interact(self, prompts: Prompts) -> dict[int, IndexMask]:
        shapes = {frame: _shapes(here) for frame, here in sorted(prompts.items()) if here}
        more = {"frames": len(self._frames)}
        removed = [{**_NO_POINTS, "tag": tag, "remove": True} for tag in self._removed()]
        for frame in sorted(shapes):
            drawn = removed + shapes[frame] if self._states() else shapes[frame]
            removed = []
            self._call(frame, [{**shape, **more, "frame": frame} for shape in drawn])
        tags = sorted({shape["tag"] for drawn in shapes.values() for shape in drawn} | set(self.tags()))
        for frame in sorted(shapes):
            asked: list[Json | None] = [{**_NO_POINTS, **more, "frame": frame, "tag": t, "read": True} for t in tags]
            answer = self._call(frame, asked, _MASKS)
            self._take(frame, answer["shapes"])
            self._interacted.add(frame)
            self._confidence.pop(frame, None)
        self._memo |= {"next": json.dumps(answer["next"]), "done": "0", "removed": "[]"}
        return {frame: self._masks[frame] for frame in shapes}

    def _call(self, frame: int, shapes: list[Json | None], form: Form = _ANSWER) -> Json:
        states = self._states()
        if states and len(states) != len(shapes):  # any state of the last call speaks for all of them
            states = [states[0]] * len(shapes)
        body = {"job": self._frames.job, "frame": self._frames.to_task(frame), "shapes": shapes, "states": states}
        answer = self._server.invoke(self._function, body)
        try:
            check_answer(answer, form)
        except UnexpectedAnswer as error:
            field = f"function {self._function!r}"
            raise InputError(f"does not answer like a siaf function ({error})", field=field) from None
        self._memo["states"] = json.dumps(answer["states"])
        return dict(answer)

    def _states(self) -> list[str]:
        return list(json.loads(self._memo.get("states", "[]")))

    def _removed(self) -> list[int]:
        return list(json.loads(self._memo.get("removed", "[]")))

    def _take(self, frame: int, shapes: list[Json | None]) -> None:
        mask = np.zeros((self._frames.height, self._frames.width), np.uint8)
        scores = {}
        for shape in shapes:
            if shape is not None:
                mask[decode_rle(shape["points"], height=mask.shape[0], width=mask.shape[1])] = shape["tag"]
                if shape.get("confidence") is not None:
                    scores[int(shape["tag"])] = float(shape["confidence"])
        self._masks[frame] = mask
        self._confidence[frame] = scores

    def _take_masks(self, kept: SessionMasks) -> None:
        if (kept.height, kept.width) != (self._frames.height, self._frames.width):
            raise StateError("belongs to a clip of another size", field="state")
        self._masks = kept.masks.copy()
        self._confidence = {f: kept.confidence.get(f, {}) for f in self._masks}
        self._interacted = set(kept.interacted)


def _shapes(here: FramePrompts) -> list[Json]:
    """Strokes, boxes and mask of a frame as shapes."""
    shapes: list[Json] = []
    if here.mask is not None:
        about = {} if here.about is None else {"about": sorted(here.about)}
        shapes.append({**_NO_POINTS, "tag": 0, "reference": True, **about})
        for tag, rle in index_mask_to_rles(here.mask).items():
            shapes.append({"type": "mask", "points": [float(n) for n in rle], "tag": tag})
    for stroke in here.strokes:
        flat = [float(value) for value in stroke.points.ravel()]
        kind = "polyline" if len(stroke.points) > 1 else "points"
        more = {"tag": stroke.tag, "polarity": stroke.polarity, "width": stroke.width}
        shapes.append({"type": kind, "points": flat, **more})
    for tag, box in here.boxes.items():
        shapes.append({"type": "rectangle", "points": list(box), "tag": tag})
    return shapes


def through_cvat(server: Server, function: str) -> SessionFactory:
    """Sessions in a function that CVAT calls. Raises InputError if CVAT has no such tracker."""
    checked: list[str] = []

    def make(frames: JobFrames, state: bytes | None, memo: dict[str, str], digests: dict[int, str]) -> JobSession:
        if not checked:
            checked.append(_check(server, function))
        return SessionThroughCvat(server, function, frames, state, memo)

    return make


def _check(server: Server, function: str) -> str:
    needed = {"polyline", "points", "mask", "rectangle"}
    found = server.function(function)
    if found.get("kind") != "tracker" or not needed <= set(found.get("supported_shape_types") or ()):
        raise InputError(
            f"is not a tracker for {', '.join(sorted(needed))}; deploy siaf's function as CVAT's tracker",
            field=f"function {function!r}",
        )
    return function
