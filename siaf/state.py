"""The `.siaf` state file: a session as one safetensors file.

Tensors: keys and values of the across-round memory and of a chain that was stopped half-way, and all index masks
(deflated, each distinct mask once). Metadata: one JSON document with everything else. Nothing in it is code, so a file
from anyone may be read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from siaf.errors import StateError
from siaf.features import FeatureCache
from siaf.files import atomic_write
from siaf.memory import ChainMemory
from siaf.model.propagation import FrameMemory
from siaf.model.trail import Trail
from siaf.network import Model
from siaf.objects import ObjectInfo, ObjectTable
from siaf.results import MaskStore
from siaf.rounds import Round, Standing
from siaf.schedule import Chain, Plan
from siaf.scribbles import Scribble
from siaf.session import Session

FORMAT = "siaf-state"
VERSION = 2


def save_session(session: Session, path: Path) -> None:
    """Write a session to `path`; what was there before stays if writing fails."""
    data = dump_session(session)
    with atomic_write(path) as file:
        file.write(data)


def load_session(path: Path, model: Model, frames: Sequence[NDArray[np.uint8]]) -> Session:
    """Read a session of this model and these frames. StateError names the file and what does not fit."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StateError(error.strerror or str(error), field=str(path)) from None
    return parse_session(data, model, frames, name=str(path))


def dump_session(session: Session) -> bytes:
    """A session as the bytes of a state file."""
    masks = _MaskTable()
    tensors: dict[str, Tensor] = {}
    for frame, memory in session.memory.entries.items():
        _put_memory(tensors, f"memory.{frame}", memory)
    for i, memory in enumerate(session.memory.carried):
        _put_memory(tensors, f"carried.{i}", memory)
    running = session._propagation
    for lane, chain in running.lanes.items():
        _put_memory(tensors, f"lane.{lane}.short", chain.short)
        for i, memory in enumerate(chain.transient):
            _put_memory(tensors, f"lane.{lane}.transient.{i}", memory)
        if chain.trail is not None:
            tensors |= {f"lane.{lane}.trail.{name}": tensor for name, tensor in chain.trail.named().items()}
    document = {
        "format": FORMAT,
        "version": VERSION,
        "model": session.model.name,
        "weights": session.model.digest,
        "frames": len(session.frames),
        "height": session.height,
        "width": session.width,
        "grid": list(session.model.grid(session.height, session.width)),
        "revision": session.revision,
        "digests": {str(f): session.frame_digest(f) for f in session.interacted},
        "rounds": [
            {
                "scribbles": {str(f): [_stroke(s) for s in strokes] for f, strokes in past.scribbles.items()},
                "references": past.references,
                "before": _standing(past.before, masks),
            }
            for past in session.rounds
        ],
        "now": _standing(session._now, masks),
        "results": masks.add(session._results),
        "confidence": {str(f): {str(t): c for t, c in scores.items()} for f, scores in session.confidence.items()},
        "remembered": {str(f): [masks.index(mask), groups] for f, (mask, groups) in running.remembered.items()},
        "plan": {
            "stages": [[[c.source, list(c.frames), sorted(c.adopts)] for c in s] for s in running.plan.stages],
            "at": running.plan.at,
            "lanes": {str(lane): [len(c.transient), c.since_transient, c.taken] for lane, c in running.lanes.items()},
        },
        "lost": {str(frame): {str(t): gone for t, gone in lost.items()} for frame, lost in running.lost.items()},
        "made": {str(frame): made for frame, made in running.made.frames.items()},
        "walked": running.made.walks,
    }
    tensors |= {f"mask.{i}": torch.frombuffer(bytearray(blob), dtype=torch.uint8) for i, blob in enumerate(masks.blobs)}
    # Cloned, because a frame may be short-term and transient memory at once, and the format forbids shared storage.
    # One metadata entry: with several, safetensors writes them in random order, and equal sessions would differ.
    return save_tensors({k: v.cpu().contiguous().clone() for k, v in tensors.items()}, {"siaf": json.dumps(document)})


def parse_session(
    data: bytes,
    model: Model,
    frames: Sequence[NDArray[np.uint8]],
    *,
    cache: FeatureCache | None = None,
    digests: Mapping[int, str] | None = None,
    name: str = "state",
) -> Session:
    """The inverse of `dump_session`; `cache` and `digests` as for `Session`, `name` is what errors call the file."""
    document = _document_of(data, model, name)
    session = Session(model, frames, cache=cache, digests=digests)
    for key, here in (("frames", len(session.frames)), ("height", session.height), ("width", session.width)):
        if document.get(key) != here:
            raise StateError(f"{key}: the state has {document.get(key)}, the video {here}", field=name)
    try:
        _fill(session, document, load_tensors(data))
        changed = [f for f, digest in document["digests"].items() if not session.shows(int(f), digest)]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise StateError(f"damaged: {type(error).__name__}: {error}", field=name) from None
    if changed:
        raise StateError(f"frame {changed[0]} of the video is not the one that was annotated", field=name)
    return session


def parse_memories(
    data: bytes, model: Model, *, name: str = "state"
) -> tuple[ObjectTable, list[FrameMemory], tuple[int, int]]:
    """What another clip may inherit: object table, memories of the interacted frames in order, and their stride-16
    grid.
    """
    document = _document_of(data, model, name)
    try:
        tensors = load_tensors(data)
        now = document["now"]
        objects = ObjectTable.restore(now["places"], [ObjectInfo(**info) for info in now["objects"]])
        names = [f"carried.{i}" for i in range(_count(tensors, "carried"))]
        names += [f"memory.{frame}" for frame in sorted(document["remembered"], key=int)]
        rows, cols = document["grid"]
        memories = [_get_memory(tensors, prefix, model) for prefix in names]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateError(f"damaged: {type(error).__name__}: {error}", field=name) from None
    if not memories:
        raise StateError("holds no memory: propagate that session first", field=name)
    if any(key.shape[1] != rows * cols for memory in memories for key, _ in memory):
        raise StateError(f"damaged: memory does not fit its {rows}x{cols} grid", field=name)
    return objects, memories, (rows, cols)


def _document_of(data: bytes, model: Model, name: str) -> dict[str, Any]:
    document = read_document(data, name)
    for key, ours in (("model", model.name), ("weights", model.digest)):
        if document.get(key) != ours:
            raise StateError(f"{key}: the state has {document.get(key)!r}, this is {ours!r}", field=name)
    return document


def read_document(data: bytes, name: str = "state") -> dict[str, Any]:
    """The JSON document of a state file, without its tensors."""
    try:
        size = int.from_bytes(data[:8], "little")
        if len(data) < 8 or size > len(data) - 8:
            raise ValueError("shorter than its header says")
        header = json.loads(data[8 : 8 + size])
        document: dict[str, Any] = json.loads(header["__metadata__"]["siaf"])
        if document["format"] != FORMAT:
            raise ValueError(f"format is {document['format']!r}")
        version = int(document["version"])
        end = max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"not a siaf state file ({error})", field=name) from None
    if version != VERSION:
        age = "a newer" if version > VERSION else "an older"
        raise StateError(f"written by {age} siaf (format {version}; this one reads {VERSION})", field=name)
    if len(data) != 8 + size + end:
        raise StateError(f"truncated: {len(data)} bytes of {8 + size + end}", field=name)
    return document


class _MaskTable:
    """Every distinct packed mask once; stores become frame → number."""

    def __init__(self) -> None:
        self.blobs: list[bytes] = []
        self._numbers: dict[bytes, int] = {}

    def index(self, blob: bytes) -> int:
        if blob not in self._numbers:
            self._numbers[blob] = len(self.blobs)
            self.blobs.append(blob)
        return self._numbers[blob]

    def add(self, store: MaskStore) -> dict[str, int]:
        return {str(frame): self.index(store.packed(frame)) for frame in store}


def _put_memory(tensors: dict[str, Tensor], name: str, memory: FrameMemory) -> None:
    for layer, (key, value) in enumerate(memory):
        tensors[f"{name}.{layer}.key"], tensors[f"{name}.{layer}.value"] = key, value


def _count(tensors: dict[str, Tensor], prefix: str) -> int:
    """Memories stored as prefix.0, prefix.1, …"""
    return len({k.split(".")[prefix.count(".") + 1] for k in tensors if k.startswith(prefix + ".")})


def _get_memory(tensors: dict[str, Tensor], name: str, model: Model) -> FrameMemory:
    layers, device = model.propagation.config.layers, model.device
    return [(tensors[f"{name}.{i}.key"].to(device), tensors[f"{name}.{i}.value"].to(device)) for i in range(layers)]


def _get_trail(tensors: dict[str, Tensor], prefix: str, model: Model) -> Trail | None:
    found = {name.removeprefix(prefix): x.to(model.device) for name, x in tensors.items() if name.startswith(prefix)}
    return Trail.of(found) if found else None


def _stroke(stroke: Scribble) -> dict[str, Any]:
    return {**asdict(stroke), "points": np.asarray(stroke.points).tolist()}


def _standing(standing: Standing, masks: _MaskTable) -> dict[str, Any]:
    return {
        "masks": masks.add(standing.masks),
        "known": {str(f): sorted(tags) for f, tags in standing.known.items()},
        "interacted": {str(f): number for f, number in standing.interacted.items()},
        "human": sorted(standing.human),
        "adopted": {str(f): sorted(tags) for f, tags in standing.adopted.items()},
        "places": standing.objects.places(),
        "objects": [asdict(standing.objects[tag]) for tag in standing.objects.tags],
    }


def _fill(session: Session, document: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    blobs: dict[int, bytes] = {}

    def blob(number: int) -> bytes:
        if number not in blobs:
            blobs[number] = tensors[f"mask.{number}"].numpy().tobytes()
        return blobs[number]

    def store(numbers: dict[str, int]) -> MaskStore:
        result = MaskStore(session.height, session.width)
        for frame, number in numbers.items():
            result.put_packed(_frame(frame, session), blob(number))
        return result

    def standing(entry: dict[str, Any]) -> Standing:
        return Standing(
            store(entry["masks"]),
            {_frame(f, session): frozenset(tags) for f, tags in entry["known"].items()},
            {_frame(f, session): int(number) for f, number in entry["interacted"].items()},
            frozenset(entry["human"]),
            ObjectTable.restore(entry["places"], [ObjectInfo(**info) for info in entry["objects"]]),
            {_frame(f, session): frozenset(map(int, tags)) for f, tags in entry["adopted"].items()},
        )

    session._now = standing(document["now"])
    session._results = store(document["results"])
    session.rounds = [
        Round(
            {_frame(f, session): [Scribble(**s) for s in strokes] for f, strokes in past["scribbles"].items()},
            list(past["references"]),
            standing(past["before"]),
        )
        for past in document["rounds"]
    ]
    session.confidence = {
        _frame(f, session): {int(t): float(c) for t, c in scores.items()}
        for f, scores in document["confidence"].items()
    }
    running = session._propagation
    for frame, (number, groups) in document["remembered"].items():
        session.memory.put(_frame(frame, session), _get_memory(tensors, f"memory.{frame}", session.model))
        running.remembered[int(frame)] = (blob(number), int(groups))
    carried = [_get_memory(tensors, f"carried.{i}", session.model) for i in range(_count(tensors, "carried"))]
    session.memory.carry(carried)
    plan = document["plan"]
    stages = [
        [
            Chain(int(source), tuple(_frame(f, session) for f in frames), frozenset(map(int, adopts)))
            for source, frames, adopts in stage
        ]
        for stage in plan["stages"]
    ]
    running.plan = Plan(stages, int(plan["at"]))
    if not 0 <= running.plan.at <= len(running.plan.order):
        raise ValueError(f"plan stands at {running.plan.at} of {len(running.plan.order)}")
    for lane, (count, since, taken) in plan["lanes"].items():
        running.lanes[int(lane)] = ChainMemory(
            _get_memory(tensors, f"lane.{lane}.short", session.model),
            [_get_memory(tensors, f"lane.{lane}.transient.{i}", session.model) for i in range(count)],
            int(since),
            int(taken),
            _get_trail(tensors, f"lane.{lane}.trail.", session.model),
        )
    running.lost = {
        _frame(f, session): {int(t): bool(gone) for t, gone in lost.items()}
        for f, lost in document.get("lost", {}).items()  # files of before have none
    }
    running.made.frames = {_frame(f, session): str(made) for f, made in document["made"].items()}
    running.made.walks = {str(walk): str(made) for walk, made in document["walked"].items()}
    session.revision = int(document["revision"])


def _frame(value: str | int, session: Session) -> int:
    frame = int(value)
    if not 0 <= frame < len(session.frames):
        raise ValueError(f"frame {frame} of {len(session.frames)}")
    return frame
