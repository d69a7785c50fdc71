"""Window chains as tensors by name, for files and stores that keep a running chain."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from siaf.engines.base import Engine
from siaf.model.propagation import FrameMemory
from siaf.session.memory import MAX_TRANSIENT, ChainMemory, WindowChain
from siaf.session.windows import MOST

_ROWS = {"place": torch.float32, "tags": torch.uint8}
_MEMORY = re.compile(r"(short|transient\.\d)\.\d+\.(?:key|value)")


def named_windows(windows: Sequence[WindowChain]) -> dict[str, Tensor]:
    """Every tensor of window chains by name.

    `N.place` float32: left, top, right, bottom, `unseen`, and the chain's `since_transient` and `taken`; `N.tags`
    uint8; `N.short` and `N.transient.I`, keys and values by layer; `N.trail`, as its engine names it.
    """
    tensors: dict[str, Tensor] = {}
    for i, one in enumerate(windows):
        memory = one.memory
        counts = one.unseen, memory.since_transient, memory.taken
        tensors[f"{i}.place"] = torch.tensor([*one.window, *counts], dtype=torch.float32)
        tensors[f"{i}.tags"] = torch.tensor(sorted(one.tags), dtype=torch.uint8)
        for name, part in [("short", memory.short), *((f"transient.{n}", x) for n, x in enumerate(memory.transient))]:
            for layer, (key, value) in enumerate(part):
                tensors |= {f"{i}.{name}.{layer}.key": key, f"{i}.{name}.{layer}.value": value}
        if memory.trail is not None:
            tensors |= {f"{i}.trail.{name}": tensor for name, tensor in memory.trail.named().items()}
    return tensors


def windows_of(
    tensors: Mapping[str, Tensor], model: Engine, size: tuple[int, int], groups: int
) -> tuple[WindowChain, ...]:
    """The inverse of `named_windows`, for frames of `size` (rows, columns) and so many groups of objects.

    ValueError, naming the tensor, for one that is missing, unknown, or of another shape or content than a chain has.
    """
    side = model.window_side
    if tensors and side is None:
        raise ValueError(f"{min(tensors)}: this model has no windows")
    parts: dict[str, dict[str, Tensor]] = {}
    for name in sorted(tensors):
        number, _, rest = name.partition(".")
        parts.setdefault(number, {})[rest] = tensors[name]
    if sorted(parts) != [str(i) for i in range(len(parts))] or len(parts) > MOST:
        raise ValueError(f"{max(parts)}: windows are numbered from 0, and at most {MOST}")
    return tuple(_window(parts[number], f"{number}.", model, side or 0, size, groups) for number in sorted(parts))


def _window(
    tensors: Mapping[str, Tensor], name: str, model: Engine, side: int, size: tuple[int, int], groups: int
) -> WindowChain:
    place, tags = (_vector(tensors, part, name) for part in _ROWS)
    left, top, right, bottom, unseen, since, taken = _whole_numbers(place, name)
    if not (0 <= left < right <= size[1] and 0 <= top < bottom <= size[0] and right - left == bottom - top):
        raise ValueError(f"{name}place: no square of a frame of {size[1]}×{size[0]}")
    if not tags or min(tags) < 1 or sorted({*tags}) != tags or min(unseen, since, taken) < 0:
        raise ValueError(
            f"{name}{'place' if min(unseen, since, taken) < 0 else 'tags'}: holds numbers that no window has"
        )
    trail = {part.removeprefix("trail."): x for part, x in tensors.items() if part.startswith("trail.")}
    named = {part: _MEMORY.fullmatch(part) for part in tensors if part not in _ROWS and not part.startswith("trail.")}
    known = {part if match is None else match[1] for part, match in named.items()}
    transient = [f"transient.{i}" for i in range(len(known) - 1)]
    if known != {"short", *transient} or len(transient) > MAX_TRANSIENT:
        raise ValueError(f"{name}{max(known, default='short')}: not the memories of a chain")
    short, *others = (_memory(tensors, part, name, model, side, groups) for part in ("short", *transient))
    try:
        trace = model.trail_of(trail, side, side, groups) if trail else None
    except ValueError as error:
        raise ValueError(f"{name}trail.{error}") from None
    memory = ChainMemory(short, others, since, taken, trace)
    return WindowChain((left, top, right, bottom), frozenset(map(int, tags)), memory, unseen)


def _vector(tensors: Mapping[str, Tensor], part: str, name: str) -> list[float]:
    kind = _ROWS[part]
    found = tensors.get(part)
    if found is None or found.dtype != kind or found.dim() != 1:
        raise ValueError(f"{name}{part}: is missing, or no row of {kind}")
    values: list[float] = found.tolist()
    return values


def _whole_numbers(place: list[float], name: str) -> list[int]:
    if len(place) != 7 or not np.isfinite(place).all() or any(x != int(x) for x in place):
        raise ValueError(f"{name}place: is not seven whole numbers")
    return [int(x) for x in place]


def _memory(tensors: Mapping[str, Tensor], part: str, name: str, model: Engine, side: int, groups: int) -> FrameMemory:
    memory = []
    for layer, shapes in enumerate(model.memory_shapes(side, side)):
        pair = []
        for kind, shape in zip(("key", "value"), shapes, strict=True):
            found = tensors.get(f"{part}.{layer}.{kind}")
            if found is None or found.dtype != torch.float32 or found.shape != (groups, *shape):
                raise ValueError(f"{name}{part}.{layer}.{kind}: is missing, or not {groups}×{shape[0]}×{shape[1]}")
            pair.append(found)
        memory.append((pair[0], pair[1]))
    return memory
