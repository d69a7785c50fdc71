"""Window chains in files and stores: what was written comes back, and nothing else is believed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from siaf.model.loaded import Model
from siaf.model.propagation import FrameMemory
from siaf.session.memory import ChainMemory, WindowChain
from siaf.session.window_state import named_windows, windows_of

SIZE = 360, 400
Tensors = dict[str, Tensor]


def memory(model: Model, value: float, groups: int = 1) -> FrameMemory:
    return [
        (torch.full((groups, *keys), float(value)), torch.full((groups, *values), float(value)))
        for keys, values in model.memory_shapes(65, 65)
    ]


@pytest.fixture
def tensors(tiny_model: Model) -> Tensors:
    model = tiny_model
    trail = model.trail_of(
        {
            name: torch.ones(shape, dtype={"labels": torch.uint8, "pace": torch.float32, "key": torch.float16}[name])
            for name, shape in model.trail_shapes(65, 65).items()
        },
        *(65, 65),
        1,
    )
    first = WindowChain((20, 30, 201, 211), frozenset({1, 3}), ChainMemory(memory(model, 1), trail=trail), 2)
    chain = ChainMemory(memory(model, 2), [memory(model, 3), memory(model, 4)], 4, 9, trail)
    return named_windows([first, WindowChain((0, 0, 181, 181), frozenset({2}), chain)])


def test_what_was_written_comes_back(tiny_model: Model, tensors: Tensors) -> None:
    first, second = windows_of(tensors, tiny_model, SIZE, 1)
    assert (first.window, first.tags, first.unseen) == ((20, 30, 201, 211), {1, 3}, 2)
    assert (first.memory.since_transient, first.memory.taken, first.memory.transient) == (0, 0, [])
    assert (second.memory.since_transient, second.memory.taken) == (4, 9)
    values = [part[0][0].unique().tolist() for part in (second.memory.short, *second.memory.transient)]
    assert values == [[2.0], [3.0], [4.0]]
    again = named_windows([first, second])
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)


def test_no_windows_are_no_tensors(tiny_model: Model) -> None:
    assert named_windows(()) == {}
    assert windows_of({}, tiny_model, SIZE, 1) == ()


def put(name: str, value: Tensor) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.update({name: value})


def drop(*names: str) -> Callable[[Tensors], None]:
    return lambda tensors: [tensors.pop(name) for name in names] and None


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (drop("0.place"), "0.place: is missing"),
        (drop("1.tags"), "1.tags: is missing"),
        (drop("0.short.0.key"), "0.short.0.key: is missing"),
        (drop("0.short.0.key", "0.short.0.value"), "0.short: not the memories"),
        (drop("1.transient.0.0.key", "1.transient.0.0.value"), "1.transient.1: not the memories"),
        (drop("0.trail.pace"), "0.trail.pace: this tensor is missing"),
        (put("0.trail.pace", torch.ones(3)), "0.trail.pace: is"),
        (put("0.place", torch.tensor([20.0, 30, 201, 210, 0, 0, 0])), "0.place: no square"),
        (put("0.place", torch.tensor([-20.0, 30, 161, 211, 0, 0, 0])), "0.place: no square"),
        (put("0.place", torch.tensor([300.0, 30, 481, 211, 0, 0, 0])), "0.place: no square"),
        (put("0.place", torch.tensor([20.5, 30, 201.5, 211, 0, 0, 0])), "0.place: is not seven whole numbers"),
        (put("0.place", torch.tensor([torch.nan] * 7)), "0.place: is not seven whole numbers"),
        (put("0.place", torch.tensor([20.0, 30, 201, 211])), "0.place: is not seven whole numbers"),
        (put("0.place", torch.tensor([20.0, 30, 201, 211, -1, 0, 0])), "0.place: holds numbers"),
        (put("0.tags", torch.tensor([], dtype=torch.uint8)), "0.tags: holds numbers"),
        (put("0.tags", torch.tensor([0, 1], dtype=torch.uint8)), "0.tags: holds numbers"),
        (put("0.tags", torch.tensor([3, 1], dtype=torch.uint8)), "0.tags: holds numbers"),
        (put("0.tags", torch.tensor([1.0])), "0.tags: is missing, or no row"),
        (put("0.short.0.value", torch.ones(2, 25, 128)), "0.short.0.value: is missing, or not 1×25×128"),
        (put("0.long.0.key", torch.ones(1)), "0.short: not the memories"),
        (put("0.placed", torch.ones(7)), "0.short: not the memories"),
        (put("9.place", torch.ones(7)), "9: windows are numbered from 0"),
    ],
)
def test_a_damaged_tensor_is_named(
    tiny_model: Model, tensors: Tensors, damage: Callable[[Tensors], None], named: str
) -> None:
    damage(tensors)
    with pytest.raises(ValueError, match=named.replace(".", r"\.")):
        windows_of(tensors, tiny_model, SIZE, 1)


def test_windows_of_other_groups_of_objects_are_refused(tiny_model: Model, tensors: Tensors) -> None:
    with pytest.raises(ValueError, match=r"0\.short\.0\.key: is missing, or not 2×25×128"):
        windows_of(tensors, tiny_model, SIZE, 2)


def test_a_model_that_sees_whole_frames_only_takes_none(
    tiny_model: Model, tensors: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Model, "window_side", None)
    with pytest.raises(ValueError, match=r"0\.place: this model has no windows"):
        windows_of(tensors, tiny_model, SIZE, 1)
