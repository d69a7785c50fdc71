"""The tensors of a state file: which there must be, and of what type and shape."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError, deserialize
from safetensors.torch import load
from torch import Tensor

from siaf.engines.base import Engine
from siaf.model.adapted import decoder_parameters
from siaf.model.propagation import FrameMemory
from siaf.model.trail import Trace
from siaf.session.adaptation import LARGEST_CHANGE
from siaf.session.mask_store import check_packed
from siaf.session.memory import MAX_CARRIED, WindowChain
from siaf.session.state_document import StateDocument
from siaf.session.window_state import windows_of

_LARGEST = 65504.0
"""No key or value is beyond what half precision holds; far larger ones would become infinite inside the network."""

_TRAIL_TYPES = {"U8": torch.uint8, "F32": torch.float32, "F16": torch.float16}

Shapes = list[tuple[tuple[int, int], tuple[int, int]]]
"""As of `Engine.memory_shapes`."""

Raw = dict[str, dict[str, Any]]
"""By name: `dtype`, `shape` and `data`."""


@dataclass
class StateTensors:
    """Packed masks by number, memories by interacted frame, of another clip, and of running chains by lane: short-term,
    then transient ones, their trails and window chains. Changes of the decoder by number.
    """

    masks: dict[int, bytes] = field(default_factory=dict)
    frames: dict[int, FrameMemory] = field(default_factory=dict)
    carried: list[FrameMemory] = field(default_factory=list)
    lanes: dict[int, list[FrameMemory]] = field(default_factory=dict)
    trails: dict[int, Trace] = field(default_factory=dict)
    windows: dict[int, tuple[WindowChain, ...]] = field(default_factory=dict)
    decoders: dict[int, dict[str, Tensor]] = field(default_factory=dict)


def split_file(data: bytes) -> Raw:
    """The tensors of a safetensors file, unread. ValueError for what is none, or not whole."""
    try:
        return dict(deserialize(data))  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(f"truncated or damaged: {error}") from None


def read_tensors(data: bytes, document: StateDocument, model: Engine) -> StateTensors:
    """All tensors that a document speaks of, memories on the model's device.

    ValueError, naming the tensor, for one that is missing, that nothing speaks of, or that the model could not read.
    """
    grid = model.grid(document.height, document.width)
    if document.grid != grid:
        raise ValueError(f"grid: is {document.grid}, not {grid}")
    raw = split_file(data)
    result = StateTensors()
    groups = max(1, -(-len(document.now.places) // model.objects_per_pass))
    reader = _Reader(raw, model, model.memory_shapes(document.height, document.width))
    for number in sorted(document.masks()):
        result.masks[number] = reader.mask(number, document.height, document.width)
    for frame, (_, remembered) in document.remembered.items():
        result.frames[frame] = reader.memory(f"memory.{frame}", remembered)
    for i in range(_carried(raw)):
        result.carried.append(reader.memory(f"carried.{i}", None))
    for lane, (transient, _, _) in document.plan.lanes.items():
        names = [f"lane.{lane}.short", *(f"lane.{lane}.transient.{i}" for i in range(transient))]
        result.lanes[lane] = [reader.memory(name, groups) for name in names]
        if any(name.startswith(f"lane.{lane}.trail.") for name in raw):
            result.trails[lane] = reader.trail(f"lane.{lane}.trail.", document.height, document.width, groups)
        result.windows[lane] = reader.windows(f"lane.{lane}.window.", document.height, document.width, groups)
    for number in sorted(document.decoders()):
        result.decoders[number] = reader.change(f"decoder.{number}")
    unknown = sorted(raw.keys() - reader.read)
    if unknown:
        raise ValueError(f"{unknown[0][:40]}: nothing speaks of this tensor")
    _check_groups(result, document, groups)
    return result


def copy_tensors(data: bytes, document: StateDocument) -> StateTensors:
    """All tensors of a document without running chains as they are, to be written again; `read_tensors` of what is
    written checks them against a model.

    ValueError, naming the tensor, for one that is missing or damaged.
    """
    loaded = load(data)

    def memory(name: str) -> FrameMemory:
        layers = [(f"{name}.{i}.key", f"{name}.{i}.value") for i in range(len(loaded)) if f"{name}.{i}.key" in loaded]
        if not layers or any(value not in loaded for _, value in layers):
            raise ValueError(f"{name}: a tensor is missing")
        return [(loaded[key], loaded[value]) for key, value in layers]

    return StateTensors(
        masks=read_masks_tensors(data, document.masks(), document.height, document.width),
        frames={frame: memory(f"memory.{frame}") for frame in document.remembered},
        carried=[memory(f"carried.{i}") for i in range(_carried(loaded))],
        decoders={
            number: {
                name.removeprefix(f"decoder.{number}."): tensor
                for name, tensor in loaded.items()
                if name.startswith(f"decoder.{number}.")
            }
            for number in document.decoders()
        },
    )


def read_masks_tensors(data: bytes, numbers: Collection[int], height: int, width: int) -> dict[int, bytes]:
    """Packed masks by number. ValueError, naming the tensor, for one that is missing or of another size."""
    raw = split_file(data)
    return {number: _mask(raw, number, height, width) for number in sorted(numbers)}


def _mask(raw: Raw, number: int, height: int, width: int) -> bytes:
    name = f"mask.{number}"
    data = bytes(_entry(raw, name, "U8", 1)["data"])
    check_packed(data, height, width, name)
    return data


def _entry(raw: Raw, name: str, dtype: str, rank: int) -> dict[str, Any]:
    entry = raw.get(name)
    if entry is None:
        raise ValueError(f"{name}: this tensor is missing")
    if entry["dtype"] != dtype or len(entry["shape"]) != rank:
        raise ValueError(f"{name}: is {entry['dtype']} of rank {len(entry['shape'])}, not {dtype} of rank {rank}")
    return entry


def _carried(raw: Mapping[str, Any]) -> int:
    """How many memories of another clip there are."""
    count = len({name.split(".")[1] for name in raw if re.fullmatch(r"carried\.\d\.\d+\.key", name)})
    if count > MAX_CARRIED:
        raise ValueError(f"carried: {count} memories, at most {MAX_CARRIED}")
    return count


def _check_groups(tensors: StateTensors, document: StateDocument, groups: int) -> None:
    """Memories that are read together speak of as many groups of objects."""
    carried = {len(memory[0][0]) for memory in tensors.carried}
    if len(carried) > 1 or max(carried, default=0) > groups:
        raise ValueError(f"carried: memories of {max(carried)} groups of objects, there are {groups}")
    if any(source < 0 for stage in document.plan.stages for source, _, _ in stage) and not carried:
        raise ValueError("plan.stages: a chain starts from another clip's memory, and there is none")
    if document.in_a_stage and ({g for _, g in document.remembered.values()} | carried) != {groups}:
        raise ValueError(f"remembered: not of {groups} groups of objects")


class _Reader:
    """Takes tensors out of a file by name; `read` are those taken."""

    def __init__(self, raw: Raw, model: Engine, shapes: Shapes) -> None:
        self._raw, self._model, self._shapes = raw, model, shapes
        self.read: set[str] = set()

    def mask(self, number: int, height: int, width: int) -> bytes:
        self.read.add(f"mask.{number}")
        return _mask(self._raw, number, height, width)

    def memory(self, name: str, groups: int | None) -> FrameMemory:
        """The memory of a frame; of so many groups, if that is known."""
        memory = []
        for layer, (keys, values) in enumerate(self._shapes):
            key = self._float(f"{name}.{layer}.key", groups, *keys)
            memory.append((key, self._float(f"{name}.{layer}.value", len(key), *values)))
            groups = len(key)
        return memory

    def trail(self, prefix: str, height: int, width: int, groups: int) -> Trace:
        """What a chain knows of the frames before, of a clip of this size."""
        tensors = self._named(prefix)
        try:
            return self._model.trail_of(tensors, height, width, groups)
        except ValueError as error:
            raise ValueError(f"{prefix}{error}") from None

    def windows(self, prefix: str, height: int, width: int, groups: int) -> tuple[WindowChain, ...]:
        """What follows a chain's small objects, in a clip of this size."""
        tensors = self._named(prefix)
        try:
            return windows_of(tensors, self._model, (height, width), groups)
        except ValueError as error:
            raise ValueError(f"{prefix}{error}") from None

    def _named(self, prefix: str) -> dict[str, Tensor]:
        """All tensors whose names begin with this, by the rest of the name."""
        tensors = {}
        for name in sorted(name for name in self._raw if name.startswith(prefix)):
            kind, shape = self._raw[name]["dtype"], self._raw[name]["shape"]
            if kind not in _TRAIL_TYPES:
                raise ValueError(f"{name}: is {kind}, which no chain has")
            data = bytearray(self._take(name, kind, len(shape))["data"])
            tensor = torch.frombuffer(data, dtype=_TRAIL_TYPES[kind]) if data else torch.empty(0)
            if kind != "U8" and not bool((tensor.abs() <= _LARGEST).all()):
                raise ValueError(f"{name}: holds numbers that no chain has")
            tensors[name.removeprefix(prefix)] = tensor.to(_TRAIL_TYPES[kind]).reshape(shape).to(self._model.device)
        return tensors

    def change(self, name: str) -> dict[str, Tensor]:
        """What an adaptation adds to the decoder's parameters: no more than one can."""
        tensors = {}
        adaptable = self._model.adaptable
        if adaptable is None:
            raise ValueError(f"{name}: this model has no decoder of a session's own")
        for part, parameter in decoder_parameters(adaptable.propagation).items():
            entry = self._take(f"{name}.{part}", "F16", parameter.dim())
            if entry["shape"] != list(parameter.shape):
                raise ValueError(f"{name}.{part}: is {entry['shape']}, not {list(parameter.shape)}")
            tensor = torch.frombuffer(bytearray(entry["data"]), dtype=torch.float16).reshape(parameter.shape)
            if not bool((tensor.abs() <= LARGEST_CHANGE).all()):  # NaN too
                raise ValueError(f"{name}.{part}: holds numbers that no adaptation gives")
            tensors[part] = tensor.to(self._model.device)
        return tensors

    def _float(self, name: str, groups: int | None, tokens: int, channels: int) -> Tensor:
        entry = self._take(name, "F32", 3)
        shape = entry["shape"]
        if shape[0] != (groups or shape[0]) or shape[0] < 1 or shape[1:] != [tokens, channels]:
            expected = f"{groups or 'groups'}×{tokens}×{channels}"
            raise ValueError(f"{name}: is {'×'.join(map(str, shape))}, not {expected}")
        tensor = torch.frombuffer(bytearray(entry["data"]), dtype=torch.float32).reshape(shape)
        if not bool((tensor.abs() <= _LARGEST).all()):  # NaN too
            raise ValueError(f"{name}: holds numbers that no memory has")
        return tensor.to(self._model.device)

    def _take(self, name: str, dtype: str, rank: int) -> dict[str, Any]:
        entry = _entry(self._raw, name, dtype, rank)
        self.read.add(name)
        return entry
