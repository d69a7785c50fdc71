"""Tracker sessions in the store: one snapshot per answered call, never changed, so that any state may be sent again."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from function.http.messages import not_found
from function.runtime.timing import phase
from function.settings import Settings
from function.state.frames import frame_key
from function.state.tracked_shape import TrackedShape
from function.store import Store
from siaf.engines.base import Engine
from siaf.errors import StateError
from siaf.frames.images import decode_image
from siaf.frames.source import Frame
from siaf.interactive.tracking import Pending, Track, Tracker
from siaf.lru import LruCache
from siaf.masks import IndexMask, index_mask_to_rles, rles_to_index_mask
from siaf.prompts import ObjectPrompt
from siaf.scribbles import Scribble
from siaf.session.feature_cache import FeatureCache
from siaf.session.memory import MAX_TRANSIENT, ChainMemory
from siaf.session.window_state import named_windows, windows_of

_LIVE = 16
_LIVE_MASKS = 64 * 2**20
"""Bytes of masks found last in these: eight of 4K."""
_KEPT_MEMORIES = 16
"""Steps whose short-term memory is kept: going back further starts again from the nearest prompted picture."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Where a tracker session stood after a call.

    `shapes`: by tag, the object as CVAT shows it. `state`: key of the state file. `memories`: keys of the short-term
    memories of earlier steps that are still kept, `transient`: of the chain's transient ones.
    """

    id: str
    session: str
    step: int
    track: Track
    shapes: dict[int, TrackedShape]
    state: str | None = None
    memories: tuple[str, ...] = ()
    transient: tuple[str, ...] = ()


class TrackStore:
    """Snapshots by name; the last ones are also kept unpacked."""

    def __init__(self, model: Engine, store: Store, settings: Settings, features: FeatureCache) -> None:
        self._model, self._store, self._settings = model, store, settings
        self.tracker = Tracker(model, features, self._picture)
        self._live: LruCache[str, Snapshot] = LruCache(_LIVE_MASKS, _cost)

    def keep_picture(self, digest: str, data: bytes) -> None:
        """A picture with prompts is needed again, when others join."""
        self._store.put(frame_key(digest), data, self._settings.session_ttl)

    def load(self, name: str, field: str) -> Snapshot:
        """A snapshot. Raises ApiError 404 naming `field` if it was forgotten."""
        live = self._live.get(name)
        if live is not None:
            self._store.touch(_keys(live), self._settings.session_ttl)
            return live
        with phase("store"):
            data = self._store.get(_document_key(name))
            if data is None:
                raise not_found("the state has expired, or is of another store", field)
            snapshot = self._parse(name, json.loads(data), field)
            self._keep(snapshot)
            self._store.touch(_keys(snapshot), self._settings.session_ttl)
        return snapshot

    def save(self, snapshot: Snapshot, parents: list[Snapshot]) -> None:
        """Write a new snapshot. `parents` are those that it came from, the first being the one whose chain goes on."""
        with phase("store"):
            self._save(snapshot, parents)

    def _save(self, snapshot: Snapshot, parents: list[Snapshot]) -> None:
        ttl, track = self._settings.session_ttl, snapshot.track
        memories = list(parents[0].memories) if parents else []
        transient: list[str] = []
        if track.chain is not None:
            own = f"track/{snapshot.id}/memory"
            self._store.put(own, _dump_memory(track.chain), ttl)
            known = {**(_named_memories(parents[0]) if parents else {}), id(track.chain.short): own}
            memories.append(own)
            transient = [known[id(memory)] for memory in track.chain.transient]
        alive = _still_kept(memories, transient)
        kept = replace(
            snapshot, state=self._write_state(track, parents), memories=tuple(alive), transient=tuple(transient)
        )
        self._store.put(_document_key(kept.id), json.dumps(_document(kept)).encode(), ttl)
        self._store.delete(*[key for key in memories if key not in alive])
        self._keep(kept)

    def _write_state(self, track: Track, parents: list[Snapshot]) -> str | None:
        """Key of the session's state file, written unless a parent shares the session."""
        if track.session is None:
            return None
        for parent in parents:
            if parent.track.session is track.session:
                return parent.state
        data = self.tracker.dump(track)
        key = f"track/state/{hashlib.blake2b(data, digest_size=16).hexdigest()}"
        self._store.put(key, data, self._settings.session_ttl)
        return key

    # -- inside ---------------------------------------------------------------------------------------------------

    def _picture(self, digest: str) -> Frame:
        with phase("store"):
            data = self._store.get(frame_key(digest))
        if data is None:
            raise not_found("a frame of the tracker's session has expired", "states")
        with phase("decode"):
            return decode_image(data, max_pixels=self._settings.max_pixels)

    def _keep(self, snapshot: Snapshot) -> None:
        self._live.put(snapshot.id, snapshot)

    def _parse(self, name: str, document: dict[str, Any], field: str) -> Snapshot:
        height, width = document["height"], document["width"]
        session = None
        if document["state"]:
            data = self._store.get(document["state"])
            if data is None:
                raise not_found("the state has expired", field)
            try:
                session = self.tracker.load(data, document["digests"], height, width)
            except StateError as error:  # of other weights than this function's
                raise StateError(error.message, field=field) from None
        track = Track(
            height,
            width,
            pending=tuple(_read_pending(p) for p in document["pending"]),
            session=session,
            position=document["position"],
            near=document["near"],
            chain=self._chain(document),
            mask=_read_mask(document["mask"]) if document["mask"] else None,
            confidence={int(tag): score for tag, score in document["confidence"].items()},
        )
        return Snapshot(
            name,
            document["session"],
            document["step"],
            track,
            {int(tag): TrackedShape(**shape) for tag, shape in document["looks"].items()},
            document["state"],
            tuple(document["memories"]),
            tuple(document["transient"]),
        )

    def _chain(self, document: dict[str, Any]) -> ChainMemory | None:
        """The chain as it stood; None if it starts anew, or if its memory was dropped since."""
        if not document["chained"]:
            return None
        parts = [self._store.get(key) for key in (document["memories"][-1], *document["transient"])]
        if any(part is None for part in parts):
            return None
        size = document["height"], document["width"]
        chain, *others = [self._memory(part, *size) for part in parts if part is not None]
        chain.transient, chain.since_transient = [one.short for one in others], document["since_transient"]
        return chain

    def _memory(self, data: bytes, height: int, width: int) -> ChainMemory:
        """The inverse of `_dump_memory`."""
        tensors = {name: tensor.to(self._model.device) for name, tensor in load_tensors(data).items()}
        trail, windows = (
            {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
            for prefix in ("trail.", "window.")
        )
        count = (len(tensors) - len(trail) - len(windows)) // 2
        memory = [(tensors[f"{i}.key"], tensors[f"{i}.value"]) for i in range(count)]
        groups = len(memory[0][0])
        trace = self._model.trail_of(trail, height, width, groups) if trail else None
        return ChainMemory(memory, trail=trace, windows=windows_of(windows, self._model, (height, width), groups))


def _document(snapshot: Snapshot) -> dict[str, Any]:
    track = snapshot.track
    return {
        "session": snapshot.session,
        "step": snapshot.step,
        "height": track.height,
        "width": track.width,
        "digests": track.prompted,
        "pending": [_write_pending(p) for p in track.pending],
        "position": track.position,
        "near": track.near,
        "mask": None if track.mask is None else _write_mask(track.mask),
        "confidence": {str(tag): score for tag, score in track.confidence.items()},
        "looks": {str(tag): vars(shape) for tag, shape in snapshot.shapes.items()},  # asdict would copy every number
        "state": snapshot.state,
        "memories": snapshot.memories,
        "transient": snapshot.transient,
        "chained": track.chain is not None,
        "since_transient": track.chain.since_transient if track.chain else 0,
    }


def _still_kept(memories: list[str], transient: list[str]) -> list[str]:
    """Which memories of a chain stay: of the last steps, and those before them that were transient when they came to be
    as old, as many as chains have; so a step may be asked for again that still read one that the next dropped.
    """
    older, last = memories[:-_KEPT_MEMORIES], memories[-_KEPT_MEMORIES:]
    if older and older[-1] not in transient:
        older = older[:-1]
    return [*older[-MAX_TRANSIENT:], *last]


def _keys(snapshot: Snapshot) -> list[str]:
    """All that must stay for the snapshot to be of use."""
    pictures = [*snapshot.track.prompted, *(p.digest for p in snapshot.track.pending)]
    keys = [_document_key(snapshot.id), *snapshot.memories[-1:], *snapshot.transient]
    return [*keys, *map(frame_key, pictures), *([snapshot.state] if snapshot.state else [])]


def _document_key(name: str) -> str:
    return f"track/{name}/snapshot"


def _named_memories(snapshot: Snapshot) -> dict[int, str]:
    """Keys of the memories that a snapshot's chain holds, by the identity of those."""
    chain = snapshot.track.chain
    if chain is None:
        return {}
    return {
        **{id(memory): key for memory, key in zip(chain.transient, snapshot.transient, strict=True)},
        **({id(chain.short): snapshot.memories[-1]} if snapshot.memories else {}),
    }


def _dump_memory(chain: ChainMemory) -> bytes:
    """The memory of a chain's last frame and, for the chain that goes on from it, its trail and windows."""
    tensors = {} if chain.trail is None else {f"trail.{name}": x for name, x in chain.trail.named().items()}
    tensors |= {f"window.{name}": x for name, x in named_windows(chain.windows).items()}
    for i, (key, value) in enumerate(chain.short):
        tensors |= {f"{i}.key": key, f"{i}.value": value}
    return save_tensors({name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()})


def _write_mask(mask: IndexMask) -> dict[str, Any]:
    rles = {str(tag): rle for tag, rle in index_mask_to_rles(mask).items()}
    return {"height": mask.shape[0], "width": mask.shape[1], "rles": rles}


def _read_mask(document: dict[str, Any]) -> IndexMask:
    rles = {int(tag): rle for tag, rle in document["rles"].items()}
    return rles_to_index_mask(rles, height=document["height"], width=document["width"])


def _write_pending(pending: Pending) -> dict[str, Any]:
    return {
        "digest": pending.digest,
        "prompts": [_write_prompt(prompt) for prompt in pending.prompts],
        "base": None if pending.base is None else {"rles": {str(tag): rle for tag, rle in pending.base.items()}},
    }


def _read_pending(document: dict[str, Any]) -> Pending:
    return Pending(
        document["digest"],
        tuple(_read_prompt(prompt) for prompt in document["prompts"]),
        {int(tag): rle for tag, rle in document["base"]["rles"].items()} if document["base"] else None,
    )


def _write_prompt(prompt: ObjectPrompt) -> dict[str, Any]:
    strokes = [{**asdict(s), "points": s.points.tolist()} for s in prompt.strokes]
    mask = None if prompt.rle is None else {"rles": {"1": prompt.rle}}
    return {"tag": prompt.tag, "strokes": strokes, "mask": mask, "box": prompt.box}


def _read_prompt(document: dict[str, Any]) -> ObjectPrompt:
    return ObjectPrompt(
        document["tag"],
        tuple(Scribble(**{**s, "points": np.array(s["points"])}) for s in document["strokes"]),
        document["mask"]["rles"]["1"] if document["mask"] else None,
        tuple(document["box"]) if document["box"] else None,
    )


def _cost(snapshot: Snapshot) -> int:
    mask = snapshot.track.mask
    return max(_LIVE_MASKS // _LIVE, 0 if mask is None else mask.nbytes)
