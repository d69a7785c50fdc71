"""Rounds through CVAT's own door: tracker calls whose shapes carry `tag`, `frame` and `frames`.

For teams that reach CVAT but not the function. CVAT hands over every frame; the client needs no frame at all and gets
exactly the masks that the calls of `/v1` would give:

1. Per frame of the round one call with its shapes: strokes, masks, boxes; `remove` forgets an object, `reference` says
   that the frame's masks are all that there is of some objects.
2. Per frame of the round one call with shapes that have `read` (their type and points do not matter): its masks. The
   first of them runs the network on all frames.
3. As long as an answer has `next`: one call for that frame with null shapes. If `done` has grown, the masks of `frame`
   are in the answer; if not, the frame was only passed.

The very first call has no states. Every other takes states of the call before, one per index; which object a null shape
means is said by its state's `tag`. Any later round goes on from the last states.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from function.calls.shapes import Shape, add_shape, as_prompt
from function.http.messages import bad_request, impossible, not_found, request_fields
from function.runtime.timing import phase
from function.settings import Settings
from function.state.frames import frame_key
from function.state.pictures import Picture
from function.state.records import Record
from function.state.tokens import Token, Tokens
from function.store import Store
from siaf.engines.base import Engine
from siaf.frames.images import decode_image
from siaf.frames.source import Frame
from siaf.interactive.streaming import ArrivingFrames, StreamingSession
from siaf.lru import LruCache
from siaf.masks import IndexMask, encode_rle, index_mask_to_rles, rles_to_index_mask
from siaf.prompts import Prompts
from siaf.session.feature_cache import FeatureCache

SESSION_PREFIX = "r"
_LIVE = 4
_KEPT_STATES = 4


@dataclass(frozen=True)
class _Snapshot:
    """Where a session stood after a call. `pending` are shapes by frame, as they came, that were not run yet."""

    id: str
    session: str
    step: int
    count: int
    height: int
    width: int
    digests: dict[int, str]
    pending: tuple[tuple[int, tuple[dict[str, Any], ...]], ...] = ()
    state: str | None = None
    older: tuple[str, ...] = ()

    def dump(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def parse(cls, data: bytes) -> "_Snapshot":
        """The inverse of `dump`."""
        fields = json.loads(data)
        fields["digests"] = {int(number): digest for number, digest in fields["digests"].items()}
        fields["pending"] = tuple((number, tuple(shapes)) for number, shapes in fields["pending"])
        return cls(**{**fields, "older": tuple(fields["older"])})


@dataclass(frozen=True)
class Asked:
    """One index of a call: the shape as it came and as it was read, and the state."""

    raw: Any
    shape: Shape | None
    token: Token | None

    @property
    def tag(self) -> int:
        """The object it is about."""
        if self.shape is not None:
            return self.shape.tag or 0
        assert self.token is not None
        return self.token.tag


class CallsThroughCvat:
    """Such calls, after the tracker has read their shapes and states."""

    def __init__(self, model: Engine, store: Store, settings: Settings, features: FeatureCache, tokens: Tokens) -> None:
        self._model, self._store, self._settings = model, store, settings
        self._features, self._tokens = features, tokens
        self._live: LruCache[str, StreamingSession] = LruCache(_LIVE)

    def answer(self, asked: list[Asked], picture: Picture, call: str | None) -> dict[str, Any]:
        """The answer to a call. `call` is its fingerprint if it goes on from states."""
        parent = self._parent(asked)
        drawn = [entry.shape for entry in asked if entry.shape is not None]
        snapshot = parent if parent is not None else self._begin(drawn, picture)
        if picture.size != (snapshot.height, snapshot.width):
            size = f"{picture.size[1]}×{picture.size[0]}"
            raise impossible(f"is {size} pixels, the frames before {snapshot.width}×{snapshot.height}", "image")
        name = call or Record.new_id()
        if drawn and not any(shape.read for shape in drawn):
            return self._collect(snapshot, asked, picture, name)
        streaming = self._streaming(snapshot)
        ready = self._run_pending(snapshot, streaming)
        if drawn:
            number = _frame_of(drawn, snapshot)
            if number not in streaming.session.interacted:
                raise impossible(f"frame {number} is none of the round's", "shapes[0].frame")
            mask: IndexMask | None = streaming.session.mask(number)
            scores: dict[int, float] = {}
        else:
            number = streaming.next_frame if streaming.next_frame is not None else -1
            with request_fields(picture="image"):
                mask, scores = streaming.arrive(picture.pixels)
            if mask is not None:
                self._remember_seen(snapshot.session, number, mask)
        with phase("store"):
            after = self._save(replace(ready, id=name, step=snapshot.step + 1), streaming)
        shapes = [_shape(mask, entry.tag, scores) for entry in asked]
        return self._reply(after, shapes, asked, streaming, number)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _parent(self, asked: list[Asked]) -> _Snapshot | None:
        names = {entry.token.revision for entry in asked if entry.token}
        if not names:
            return None
        if len(names) > 1:
            raise impossible("the states are not of one call", "states")
        data = self._store.get(_key(names.pop()))
        if data is None:
            raise not_found("the state has expired, or is of another store", "states[0]")
        return _Snapshot.parse(data)

    def _begin(self, drawn: list[Shape], picture: Picture) -> _Snapshot:
        count = drawn[0].frames or 0
        if not 0 < count <= self._settings.max_frames:
            raise impossible(f"must be 1 to {self._settings.max_frames}", "shapes[0].frames")
        session = SESSION_PREFIX + Record.new_id()
        return _Snapshot("", session, -1, count, *picture.size, digests={})

    def _collect(self, parent: _Snapshot, asked: list[Asked], picture: Picture, name: str) -> dict[str, Any]:
        """Keep the shapes of a frame for the round."""
        drawn = [entry.shape for entry in asked if entry.shape is not None]
        number = _frame_of(drawn, parent)
        if parent.digests.get(number, picture.digest) != picture.digest:
            raise impossible(f"frame {number} had another content before", "shapes[0].frame")
        for index, entry in enumerate(asked):  # what is wrong is said now, to the call that brought it
            if entry.shape is not None and entry.shape.draws:
                as_prompt(entry.shape, entry.tag, *picture.size, f"shapes[{index}]")
        self._store.put(frame_key(picture.digest), picture.data, self._settings.session_ttl)
        raws = tuple(asdict(shape) for shape in drawn)
        snapshot = replace(
            parent,
            id=name,
            step=parent.step + 1,
            digests={**parent.digests, number: picture.digest},
            pending=(*parent.pending, (number, raws)),
        )
        self._write(snapshot)
        return self._reply(snapshot, [entry.raw for entry in asked], asked, None, number)

    def _streaming(self, snapshot: _Snapshot) -> StreamingSession:
        """The session as the snapshot left it; it is going to be changed, so nobody else may hold it."""
        live = self._live.pop(snapshot.state or "")
        if live is not None:
            live.frames.digests = dict(snapshot.digests)
            return live
        frames = ArrivingFrames(snapshot.count, snapshot.height, snapshot.width, snapshot.digests, self._picture)
        state = self._store.get(snapshot.state) if snapshot.state else None
        if snapshot.state and state is None:
            raise not_found("the state has expired", "states[0]")
        return StreamingSession(self._model, self._features, frames, state)

    def _run_pending(self, snapshot: _Snapshot, streaming: StreamingSession) -> _Snapshot:
        """Run the network on the frames that were collected."""
        if not snapshot.pending:
            return snapshot
        session = streaming.session
        given = Prompts()
        for number, raws in snapshot.pending:
            seen = self._seen(snapshot, number)
            if seen is not None and number not in session.interacted:
                session.set_propagated_mask(number, seen)
            for i, raw in enumerate(raws):
                shape = Shape(**raw)
                if not shape.remove:
                    add_shape(given.at(number), shape, snapshot.height, snapshot.width, f"shapes[{i}]")
                elif shape.tag is not None and shape.tag in session.objects:
                    session.remove_object(shape.tag)
        if given:
            session.interact_with(given)
        return replace(snapshot, pending=())

    def _save(self, snapshot: _Snapshot, streaming: StreamingSession) -> _Snapshot:
        data = streaming.dump()
        state = f"relay/{snapshot.session}/{hashlib.blake2b(data, digest_size=16).hexdigest()}"
        self._store.put(state, data, self._settings.session_ttl)
        older = [*snapshot.older, *([snapshot.state] if snapshot.state not in (None, state) else [])]
        kept = replace(snapshot, state=state, older=tuple(k for k in older[-_KEPT_STATES:] if k))
        self._write(kept)
        self._store.delete(*[key for key in older[:-_KEPT_STATES] if key])
        self._live.put(state, streaming)
        return kept

    def _write(self, snapshot: _Snapshot) -> None:
        ttl = self._settings.session_ttl
        self._store.put(_key(snapshot.id), snapshot.dump(), ttl)
        self._store.touch([frame_key(digest) for digest in snapshot.digests.values()], ttl)

    def _reply(
        self, snapshot: _Snapshot, shapes: list[Any], asked: list[Asked], streaming: StreamingSession | None, frame: int
    ) -> dict[str, Any]:
        states = [self._tokens.sign(Token(snapshot.session, entry.tag, snapshot.step, snapshot.id)) for entry in asked]
        answer: dict[str, Any] = {"shapes": shapes, "states": states, "frame": frame}
        if streaming is not None:
            session = streaming.session
            answer |= {
                "next": streaming.next_frame,
                "done": session.plan.results_done,
                "total": len(session.plan.results),
            }
            answer["suggest"] = session.suggest() if streaming.next_frame is None else []
        return answer

    def _picture(self, digest: str) -> Frame:
        with phase("store"):
            data = self._store.get(frame_key(digest))
        if data is None:
            raise not_found("a frame of the session has expired", "states[0]")
        with phase("decode"):
            return decode_image(data, max_pixels=self._settings.max_pixels)

    def _seen(self, snapshot: _Snapshot, number: int) -> IndexMask | None:
        data = self._store.get(f"relay/{snapshot.session}/seen/{number}")
        if data is None:
            return None
        rles = {int(tag): rle for tag, rle in json.loads(data).items()}
        return rles_to_index_mask(rles, height=snapshot.height, width=snapshot.width)

    def _remember_seen(self, session: str, number: int, mask: IndexMask) -> None:
        data = json.dumps(index_mask_to_rles(mask)).encode()
        self._store.put(f"relay/{session}/seen/{number}", data, self._settings.session_ttl)


def _key(name: str) -> str:
    return f"relay/{name}/snapshot"


def _frame_of(drawn: list[Shape], snapshot: _Snapshot) -> int:
    """The frame that all shapes of a call name."""
    numbers = {(shape.frame, shape.frames) for shape in drawn}
    if len(numbers) > 1 or any(shape.tag is None for shape in drawn):
        raise bad_request("all shapes of a call need a tag, and the same frame and frames", "shapes[0].frame")
    number, count = numbers.pop()
    if number is None or count != snapshot.count or number >= count:
        raise impossible(f"frame {number} of {count} is none of {snapshot.count} frames", "shapes[0].frame")
    return number


def _shape(mask: IndexMask | None, tag: int, scores: dict[int, float]) -> dict[str, Any] | None:
    """An object as a mask, null where it is absent."""
    if mask is None or tag == 0:
        return None
    own = mask == tag
    if not own.any():
        return None
    return {"type": "mask", "points": encode_rle(own), "tag": tag, "confidence": scores.get(tag)}
