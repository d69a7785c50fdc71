"""The `.siaf` state file: a session as one safetensors file, in and out.

Tensors: keys and values of the across-round memory and of a chain that was stopped half-way, and all index masks
(deflated, each distinct mask once). Metadata: one JSON document with everything else. Nothing in it is code, so a file
from anyone may be read.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from siaf.engines.base import Engine
from siaf.errors import InputError, StateError
from siaf.files import atomic_write
from siaf.frames.source import as_frames
from siaf.model.loaded import ModelIdentity
from siaf.model.propagation import FrameMemory
from siaf.scribbles import Scribble, check_scribbles
from siaf.session.adaptation import Decoder
from siaf.session.annotations import Annotations, Round
from siaf.session.barriers import Barriers
from siaf.session.feature_cache import FeatureCache
from siaf.session.mask_store import MaskStore
from siaf.session.memory import ChainMemory
from siaf.session.objects import ObjectInfo, ObjectTable
from siaf.session.schedule import Plan
from siaf.session.session import Session
from siaf.session.snapshot import PropagationSnapshot, SessionMasks, SessionSnapshot, StateSummary
from siaf.session.state_document import (
    FORMAT,
    MASKS_ONLY,
    VERSION,
    AnnotationsEntry,
    DecoderEntry,
    Kind,
    MasksDocument,
    StateDocument,
    StrokeEntry,
    read_text,
)
from siaf.session.state_tensors import StateTensors, copy_tensors, read_masks_tensors, read_tensors, split_file
from siaf.session.state_writing import dump_snapshot


def save_session(session: Session, path: Path) -> None:
    """Write a session to `path`; what was there before stays if writing fails."""
    data = dump_session(session)
    with atomic_write(path) as file:
        file.write(data)


def load_session(path: Path, model: Engine, frames: Sequence[NDArray[np.uint8]]) -> Session:
    """Read a session of this model and these frames. StateError names the file and what does not fit."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StateError(error.strerror or str(error), field=str(path)) from None
    return parse_session(data, model, frames, name=str(path))


def dump_session(session: Session) -> bytes:
    """A session as the bytes of a state file."""
    return dump_snapshot(session.snapshot())


def parse_session(
    data: bytes,
    model: Engine,
    frames: Sequence[NDArray[np.uint8]],
    *,
    cache: FeatureCache | None = None,
    digests: Mapping[int, str] | None = None,
    name: str = "state",
) -> Session:
    """The inverse of `dump_session`; `cache` and `digests` as for `Session`, `name` is what errors call the file."""
    source = as_frames(frames)
    document = _document_of(data, model, name)
    for key, here in (("frames", len(source)), ("height", source.height), ("width", source.width)):
        if getattr(document, key) != here:
            raise StateError(f"{key}: the state has {getattr(document, key)}, the video {here}", field=name)
    with _damage(name):
        snapshot = _snapshot(document, read_tensors(data, document, model), model.identity)
    session = Session(model, source, cache=cache, digests=digests)
    session.restore(snapshot)
    changed = [f for f, digest in document.digests.items() if not session.shows(f, digest)]
    if changed:
        raise StateError(f"frame {changed[0]} of the video is not the one that was annotated", field=name)
    return session


def parse_memories(
    data: bytes, model: Engine, *, name: str = "state"
) -> tuple[ObjectTable, list[FrameMemory], tuple[int, int]]:
    """What another clip may inherit: object table, memories of the interacted frames in order, and their stride-16
    grid.
    """
    if not isinstance(data, bytes):
        raise InputError("must be the bytes of a state file: Path(…).read_bytes()", field=name)
    document = _document_of(data, model, name)
    with _damage(name):
        tensors = read_tensors(data, document, model)
    memories = [*tensors.carried, *(tensors.frames[frame] for frame in sorted(tensors.frames))]
    if not memories:
        raise StateError("holds no memory: propagate that session first", field=name)
    return _objects(document.now), memories, document.grid


def _document_of(data: bytes, model: Engine, name: str) -> StateDocument:
    """A document whose memories this model can read."""
    text, kind = _text_of(data, name)
    for key, ours in memories_of(model.identity).items():
        if _differs(kind, key, ours):
            raise StateError(f"{key}: the state has {getattr(kind, key)!r}, this is {ours!r}", field=name)
    with _damage(name):
        return read_text(text)


def memories_of(model: ModelIdentity) -> dict[str, object]:
    """What tells a model's memories from those that it cannot read: another input size or precision makes others."""
    return {
        "model": model.name,
        "weights": model.digest,
        "short_side": model.short_side,
        "autocast": model.autocast,
        "objects_per_pass": model.objects_per_pass,
    }


def made_with(data: bytes, memories: Mapping[str, object], name: str = "state") -> bool:
    """Whether a state's memories are of this kind, as of `memories_of`; a function's `/v1/info` says its own."""
    _, kind = _text_of(data, name)
    return not any(_differs(kind, key, memories[key]) for key in _MEMORIES if key in memories)


_MEMORIES = ("model", "weights", "short_side", "autocast", "objects_per_pass")


_IDENTITY = {"name": "model", "digest": "weights", **{key: key for key in _MEMORIES[2:]}}
"""Fields of a model's identity, and what a document calls them."""


def _differs(kind: Kind, key: str, ours: object) -> bool:
    """Files of earlier versions do not say all of it."""
    theirs = getattr(kind, key)
    return theirs != ours and (theirs is not None or key in ("model", "weights"))


def read_summary(data: bytes, name: str = "state") -> StateSummary:
    """What a state file says of itself, be it of another model, or masks alone. StateError names the file and the first
    place that is wrong.
    """
    text, kind = _text_of(data, name)
    with _damage(name):
        document = MasksDocument.read(text) if kind.model == MASKS_ONLY else read_text(text)
    decoder = document.now.decoder
    return StateSummary(
        model=document.model,
        weights=document.weights,
        frames=document.frames,
        height=document.height,
        width=document.width,
        digests=document.digests,
        objects=[ObjectInfo(o.tag, o.label, o.origin) for o in document.now.objects],
        rounds=len(document.rounds),
        adapted=None if decoder is None else decoder.change is not None,
    )


def with_digests(data: bytes, digests: Mapping[int, str]) -> bytes:
    """A state file with other content digests of some frames."""
    document = json.loads(_text_of(data, "state")[0])
    document["digests"] |= {str(frame): digest for frame, digest in digests.items()}
    return save_tensors(load_tensors(data), {"siaf": json.dumps(document)})


def edit_state(data: bytes, change: Callable[[SessionSnapshot], None], name: str = "state") -> bytes:
    """A state file after `change` of its session's data; for that no model is needed, as memories stay as they are.

    Only of a session whose propagation is finished. Raises InputError naming "round" for others.
    """
    text, kind = _text_of(data, name)
    if kind.model == MASKS_ONLY:
        raise StateError("holds masks alone, no session", field=name)
    with _damage(name):
        document = read_text(text)
    if document.plan.lanes or document.plan.at < len(Plan(document.chains()).order):
        raise InputError("the last round is not finished: propagate first", field="round")
    with _damage(name):
        made_by: dict[str, Any] = {
            key: getattr(document, theirs) for key, theirs in _IDENTITY.items()
        }  # None where an old file says nothing
        snapshot = _snapshot(document, copy_tensors(data, document), ModelIdentity(**made_by))
    change(snapshot)
    return dump_snapshot(snapshot)


def read_masks(data: bytes, name: str = "state") -> SessionMasks:
    """The masks in a state file. An interacted frame's own mask stands before what an earlier round propagated to it.

    StateError, as `read_summary`.
    """
    text, _ = _text_of(data, name)
    with _damage(name):
        document = MasksDocument.read(text)
        numbers = {**document.results, **document.now.masks}
        packed = read_masks_tensors(data, set(numbers.values()), document.height, document.width)
    return SessionMasks(
        masks=MaskStore.of_packed({f: packed[n] for f, n in numbers.items()}, document.height, document.width),
        interacted=sorted(document.now.masks),
        confidence={f: scores for f, scores in document.confidence.items() if f not in document.now.masks},
        frames=document.frames,
    )


def _text_of(data: bytes, name: str) -> tuple[str, Kind]:
    """The JSON text of a state file's document, and what it is. The file is whole, and of the version of this siaf."""
    try:
        split_file(data)  # before Python makes objects of a header that is none
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        text: str = header["__metadata__"]["siaf"]
        kind = Kind.model_validate_json(text)
        if kind.format != FORMAT:
            raise ValueError(f"format is {kind.format[:40]!r}")
    except ValidationError as error:
        raise StateError(f"not a siaf state file ({error.errors()[0]['msg'][:100]})", field=name) from None
    except (ValueError, KeyError) as error:
        raise StateError(f"not a siaf state file ({error})", field=name) from None
    if kind.version != VERSION:
        age = "a newer" if kind.version > VERSION else "an older"
        raise StateError(f"written by {age} siaf (format {kind.version}; this one reads {VERSION})", field=name)
    return text, kind


@contextmanager
def _damage(name: str) -> Iterator[None]:
    """What a file's content is not fit for becomes a StateError."""
    try:
        yield
    except StateError:
        raise
    except (ValueError, InputError) as error:
        raise StateError(f"damaged: {error}", field=name) from None


def _objects(entry: AnnotationsEntry) -> ObjectTable:
    return ObjectTable.restore(entry.places, [ObjectInfo(o.tag, o.label, o.origin) for o in entry.objects])


def _snapshot(document: StateDocument, tensors: StateTensors, model: ModelIdentity) -> SessionSnapshot:
    """The data in a state file that was made with this model."""
    height, width = document.height, document.width

    def store(numbers: dict[int, int]) -> MaskStore:
        return MaskStore.of_packed({f: tensors.masks[number] for f, number in numbers.items()}, height, width)

    def decoder(entry: DecoderEntry) -> Decoder:
        return Decoder(entry.content, None if entry.change is None else tensors.decoders[entry.change])

    decoders = {(e.content, e.change): decoder(e) for s in document.all_annotations() if (e := s.decoder) is not None}

    def annotations(entry: AnnotationsEntry) -> Annotations:
        own = decoders[entry.decoder.content, entry.decoder.change] if entry.decoder else None
        objects = _objects(entry)
        return Annotations(store(entry.masks), entry.known, entry.interacted, entry.human, objects, entry.adopted, own)

    def strokes(place: str, entries: list[StrokeEntry]) -> list[Scribble]:
        drawn = [Scribble(s.tag, np.array(s.points), s.width, s.polarity) for s in entries]
        check_scribbles(drawn, height=height, width=width, field=place)
        return drawn

    within = None if document.plan.within is None else range(*document.plan.within)
    lanes = {}
    for lane, (_, since, taken) in document.plan.lanes.items():
        short, *transient = tensors.lanes[lane]
        windows = tensors.windows[lane]
        lanes[lane] = ChainMemory(short, transient, since, taken, tensors.trails.get(lane), windows)
    return SessionSnapshot(
        model=model,
        frames=document.frames,
        height=height,
        width=width,
        grid=document.grid,
        revision=document.revision,
        digests=document.digests,
        rounds=[
            Round(
                {f: strokes(f"rounds.{i}.scribbles.{f}", drawn) for f, drawn in past.scribbles.items()},
                past.references,
                annotations(past.before),
                past.boxes,
            )
            for i, past in enumerate(document.rounds)
        ],
        annotations=annotations(document.now),
        propagation=PropagationSnapshot(
            results=store(document.results),
            confidence=document.confidence,
            memory=tensors.frames,
            carried=tensors.carried,
            remembered={f: (tensors.masks[number], groups) for f, (number, groups) in document.remembered.items()},
            plan=Plan(document.chains(), document.plan.at, within),
            lanes=lanes,
            lost=document.lost,
            made=document.made,
            walked=document.walked,
            barriers=Barriers(document.plan.barriers),
        ),
    )
