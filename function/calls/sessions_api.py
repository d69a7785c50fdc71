"""Rounds over HTTP: the calls of `/v1/sessions`."""

import hashlib
import json
import math
import time
from typing import Literal

from pydantic import BaseModel

from function.http.messages import Reply, Request, impossible, not_found, stale, too_large
from function.http.prompts import masks_of, prompts_of
from function.http.routing import parse
from function.http.schemas import (
    DeleteReply,
    FrameMasks,
    FrameReply,
    LimitsRequest,
    MissingReply,
    MissingRequest,
    ObjectModel,
    OpenRequest,
    PropagatedFrame,
    PropagateReply,
    PropagateRequest,
    RevisionRequest,
    RoundReply,
    RoundRequest,
    ScoredMask,
    SessionReply,
    ShrunkObject,
    StateReply,
)
from function.runtime.heap import give_back
from function.runtime.timing import phase
from function.settings import Settings
from function.state.frames import FramesMissing
from function.state.records import Record
from function.state.sessions import Change, Sessions
from siaf import Session
from siaf.arguments import frame_range
from siaf.errors import StateError
from siaf.masks import index_mask_to_rles
from siaf.session.state_file import parse_session, read_summary

_PAGE_NUMBERS = 1_500_000
"""Run lengths in one propagate answer, about 8 MB of JSON; what exceeds it comes with the next call."""
_SUGGESTIONS = 3
_CLICKING_S, _TURN_S = 10.0, 0.5
"""For this long after a click, a propagate call works for this long at most."""
_TIDY_EVERY = 16
"""Frames; once the cache of features is full, every further one leaves holes (docs/labeling.md, a long job)."""


class Rounds:
    """The calls of `/v1/sessions`, each from a request to a reply."""

    def __init__(self, sessions: Sessions, settings: Settings) -> None:
        self.sessions, self.settings = sessions, settings
        self._clicked = -math.inf

    def clicked(self) -> None:
        """A labeler is clicking: propagation works in short turns for a while, as a worker does one thing at a time."""
        self._clicked = time.monotonic()

    def open(self, request: Request) -> Reply:
        """`POST /v1/sessions`"""
        body = parse(OpenRequest, request)
        if body.frames > self.settings.max_frames:
            raise too_large(f"at most {self.settings.max_frames} frames", "frames")
        if body.width * body.height > self.settings.max_pixels:
            raise too_large(f"frames of at most {self.settings.max_pixels} pixels", "width")
        record = self.sessions.open(body.frames, body.height, body.width, body.name)
        return _reply(self._describe(record), status=201)

    def show(self, request: Request, session: str) -> Reply:
        """`GET /v1/sessions/{session}`"""
        return _reply(self._describe(*self.sessions.view(session)))

    def delete(self, request: Request, session: str) -> Reply:
        """`DELETE /v1/sessions/{session}`"""
        self.sessions.delete(session)
        return _reply(DeleteReply(id=session))

    def missing(self, request: Request, session: str) -> Reply:
        """`POST /v1/sessions/{session}/frames/missing`"""
        body = parse(MissingRequest, request)
        return _reply(MissingReply(missing=self.sessions.bind(session, {d.frame: d.digest for d in body.digests})))

    def put_frame(self, request: Request, session: str, frame: str) -> Reply:
        """`PUT /v1/sessions/{session}/frames/{frame}`"""
        number = _number(frame, "frame")
        digest = self.sessions.add_frame(session, number, request.bytes())
        return _reply(FrameReply(frame=number, digest=digest))

    def round(self, request: Request, session: str) -> Reply:
        """`POST /v1/sessions/{session}/rounds`"""
        body = parse(RoundRequest, request)
        points = sum(len(stroke.points) for frame in body.scribbles for stroke in frame.strokes)
        if points > self.settings.max_points:
            raise too_large(f"{points} points, at most {self.settings.max_points}", "scribbles")
        with self.sessions.change(session, _fingerprint("round", body), body.revision) as change:
            if not change.repeated:
                with phase("model"):
                    self._interact(change, body)
            last = change.session.rounds[-1]
            masks = {f: change.session.mask(f) for f in sorted({*last.scribbles, *last.references})}
            number, total = len(change.session.rounds), len(change.session.plan.results)
        return _reply(
            RoundReply(
                revision=change.record.revision,
                round=number,
                frames=[FrameMasks(frame=frame, masks=masks_of(mask)) for frame, mask in masks.items()],
                total=total,
            )
        )

    def propagate(self, request: Request, session: str) -> Reply:
        """`POST /v1/sessions/{session}/propagate`"""
        body = parse(PropagateRequest, request)
        budget = min(body.budget_s or self.settings.budget_s, self.settings.max_budget_s)
        now = time.monotonic()
        until = now + (min(budget, _TURN_S) if now - self._clicked < _CLICKING_S else budget)
        with self.sessions.change(session, revision=body.revision) as change:
            current = change.session
            done = current.plan.results_done
            after = done if body.after is None else body.after
            if after > done:
                raise stale(f"{done} frames are finished, not {after}", "after")
            page = _Page(current, after)
            if current.plan.remaining_frames and not page.frames:  # what was finished before is not kept waiting
                pays = self.settings.adapt and current.adapts
                adapts = not done and (pays if body.adapt is None else body.adapt and bool(current.verified))
                self.sessions.require(
                    change.record, [*current.plan.remaining_frames, *(current.verified if adapts else ())]
                )
                with phase("model"):
                    late = adapts and not _adapt(change, until)
                    for count, _ in enumerate(current.propagate() if not late else (), 1):
                        change.dirty = True
                        if count % _TIDY_EVERY == 0:
                            give_back()
                        page.fill()
                        if page.full or time.monotonic() >= until:
                            break
            total = len(current.plan.results)
            reply = PropagateReply(
                revision=change.record.revision,
                frames=page.frames,
                done=page.done,
                total=total,
                suggest=current.suggest(_SUGGESTIONS) if page.done == total else [],
                shrunk=_shrunk(current) if page.done == total else [],
            )
        return _reply(reply)

    def set_limits(self, request: Request, session: str) -> Reply:
        """`PUT /v1/sessions/{session}/limits`"""
        body = parse(LimitsRequest, request)
        with self.sessions.change(session, _fingerprint("limits", body), body.revision) as change:
            if not change.repeated:
                before = change.session.revision
                within = None if body.within is None else range(*body.within)
                if within is not None:
                    frame_range(within, len(change.session.frames), "within")
                change.session.barriers = body.barriers
                change.session.within = within
                change.dirty = change.session.revision != before
        return _reply(self._describe(change.record, change.session))

    def undo(self, request: Request, session: str) -> Reply:
        """`POST /v1/sessions/{session}/undo`"""
        body = parse(RevisionRequest, request)
        with self.sessions.change(session, _fingerprint("undo", body), body.revision) as change:
            if not change.repeated:
                change.session.undo()
                change.dirty = True
        return _reply(self._describe(change.record, change.session))

    def remove_object(self, request: Request, session: str, tag: str) -> Reply:
        """`DELETE /v1/sessions/{session}/objects/{tag}`"""
        number = _number(tag, "tag")
        with self.sessions.change(session, f"remove {number}") as change:
            if not change.repeated:
                if number not in change.session.objects:
                    raise not_found(f"there is no object with tag {number}", "tag")
                change.session.remove_object(number)
                change.dirty = True
        return _reply(self._describe(change.record, change.session))

    def get_state(self, request: Request, session: str) -> Reply:
        """`GET /v1/sessions/{session}/state`"""
        return Reply(self.sessions.state(session), content_type="application/octet-stream")

    def put_state(self, request: Request, session: str) -> Reply:
        """`PUT /v1/sessions/{session}/state`"""
        data = request.bytes()
        with self.sessions.change(session, "state " + hashlib.blake2b(data, digest_size=16).hexdigest()) as change:
            mode = self._take_state(change, data)
        return _reply(StateReply(revision=change.record.revision, mode=mode))

    # -- inside ---------------------------------------------------------------------------------------------------

    def _interact(self, change: Change, body: RoundRequest) -> None:
        record, session = change.record, change.session
        given = prompts_of(body, frames=record.frames, height=record.height, width=record.width)
        self.sessions.require(record, sorted({*given, *session.interacted}))
        session.interact_with(given)
        for i, info in enumerate(body.objects):
            if info.tag not in session.objects:
                raise impossible(f"there is no object with tag {info.tag}", f"objects[{i}].tag")
            known = session.objects[info.tag]
            known.label, known.origin = info.label, info.origin
        change.dirty = True

    def _take_state(self, change: Change, data: bytes) -> Literal["restored", "inherited"]:
        record = change.record
        summary = read_summary(data, "body")
        same = all(getattr(summary, key) == getattr(record, key) for key in ("frames", "height", "width"))
        if same:
            unknown = sorted(frame for frame in summary.digests if frame not in record.digests)
            if unknown:
                raise FramesMissing(unknown)
            same = all(record.digests[frame] == digest for frame, digest in summary.digests.items())
        if change.repeated:
            return "restored" if same else "inherited"
        if same:
            change.session = parse_session(
                data,
                self.sessions.model,
                change.session.frames,
                cache=self.sessions.features,
                digests=record.digests,
                name="body",
            )
        else:
            try:
                change.session.inherit(data)
            except StateError as error:
                raise StateError(error.message, field="body") from None
        change.dirty = True
        return "restored" if same else "inherited"

    def _describe(self, record: Record, session: Session | None = None) -> SessionReply:
        objects = [session.objects[tag] for tag in session.objects.tags] if session else []
        return SessionReply(
            id=record.id,
            name=record.name,
            frames=record.frames,
            width=record.width,
            height=record.height,
            revision=record.revision,
            rounds=len(session.rounds) if session else 0,
            interacted=session.interacted if session else [],
            objects=[ObjectModel(tag=o.tag, label=o.label, origin=o.origin) for o in objects],
            missing=len(self.sessions.missing(record)),
            done=session.plan.results_done if session else 0,
            total=len(session.plan.results) if session else 0,
        )


def _adapt(change: Change, until: float) -> bool:
    """Whether an adaptation has come to its end, with time left. One that has not goes on with the next call here; in
    another worker it begins anew, to the same bits.
    """
    before = change.session.decoder
    for _ in change.session.adapt():
        change.dirty = change.session.decoder is not before
        if time.monotonic() >= until:
            return False
    return True


def _shrunk(session: Session) -> list[ShrunkObject]:
    return [ShrunkObject(tag=one.tag, gone=one.gone, frames=list(one.frames)) for one in session.shrunk]


class _Page:
    """Finished frames of a session as an answer, from the `done`-th on, as many as fit into one."""

    def __init__(self, session: Session, done: int) -> None:
        self._session, self.done = session, done
        self.frames: list[PropagatedFrame] = []
        self._numbers = 0
        self.fill()

    @property
    def full(self) -> bool:
        """No further frame should be added."""
        return self._numbers > _PAGE_NUMBERS

    def fill(self) -> None:
        """Add what has been finished meanwhile."""
        with phase("encode"):
            self._fill()

    def _fill(self) -> None:
        session = self._session
        while self.done < session.plan.results_done and not self.full:
            frame = session.plan.results[self.done]
            rles = index_mask_to_rles(session.mask(frame))
            scores = session.confidence.get(frame, {}) if frame not in session.interacted else {}
            masks = [ScoredMask(tag=tag, rle=rles.get(tag), confidence=scores.get(tag)) for tag in session.objects.tags]
            self.frames.append(PropagatedFrame(frame=frame, masks=masks))
            self._numbers += sum(map(len, rles.values()))
            self.done += 1


def _number(text: str, field: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise not_found(f"no {field} has this number", field)
    return int(text)


def _fingerprint(kind: str, body: BaseModel) -> str:
    text = json.dumps(body.model_dump(mode="json"), sort_keys=True)
    return f"{kind} {hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


def _reply(body: BaseModel, status: int = 200) -> Reply:
    with phase("encode"):
        return Reply(body.model_dump_json(), status)
