"""What a labeler can rely on whichever engine runs: rounds, corrections, undo, objects, stop and resume."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

pytest.importorskip("transformers")

from small_rounds import run, stroke
from small_sam2 import Kind, small_engine

from siaf import Session
from siaf.engines.base import Engine
from siaf.errors import InputError, StateError
from siaf.model.loaded import Model
from siaf.session.state_file import dump_session, parse_session

Frames = NDArray[np.uint8]
ENGINES = ["siaf-t", *get_args(Kind)]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tiny_model: Model) -> Engine:
    return tiny_model if request.param == "siaf-t" else small_engine(request.param)


@pytest.fixture
def frames(clip: Frames) -> Frames:
    return clip[:8]


def square(tag: int, left: int, top: int) -> Frames:
    mask = np.zeros((72, 96), np.uint8)
    mask[top : top + 20, left : left + 20] = tag
    return mask


def same(one: dict[int, Frames], other: dict[int, Frames]) -> bool:
    return all(np.array_equal(one[frame], other[frame]) for frame in one)


def test_a_round_draws_what_was_drawn_and_fills_all_other_frames(engine: Engine, frames: Frames) -> None:
    session = Session(engine, frames)
    masks = session.interact(
        {2: [stroke(1, 20, 20)], 6: [stroke(2, 55, 50), stroke(0, 5, 60)]}, boxes={6: {3: (5, 5, 30, 30)}}
    )
    assert (masks[2][20, 20:31] == 1).all() and (masks[6][50, 55:66] == 2).all() and (masks[6] == 3).any()
    found = run(session)
    assert session.pending == 0 and sorted(session.confidence) == [0, 1, 3, 4, 5, 7]
    assert set(session.confidence[4]) == {1, 2, 3}
    assert set(np.unique(np.stack(list(found.values())))) <= {0, 1, 2, 3}


def test_a_correction_keeps_references_and_later_ones_are_read(engine: Engine, frames: Frames) -> None:
    session = Session(engine, frames)
    session.interact(references={0: square(1, 5, 10)})
    first = run(session)
    session.interact({5: [stroke(1, 40, 20)]})
    corrected = session.mask(5)
    second = run(session)
    assert np.array_equal(second[0], square(1, 5, 10)) and np.array_equal(second[5], corrected)
    assert sorted(session.memory.entries) == [0, 5]
    assert session.interacted == [0, 5] and not same({f: second[f] for f in (2, 3, 4)}, first)


def test_undo_brings_back_the_round_before(engine: Engine, frames: Frames) -> None:
    session = Session(engine, frames)
    session.interact(references={0: square(1, 5, 10)})
    before = run(session)
    session.interact({5: [stroke(1, 40, 20), stroke(2, 60, 50)]})
    run(session)
    session.undo()
    assert session.objects.tags == [1]
    assert same(run(session), before)


@pytest.mark.parametrize("done", [0, 2, 4])
def test_a_stopped_propagation_resumes_with_the_same_bits(engine: Engine, frames: Frames, done: int) -> None:
    def begin() -> Session:
        session = Session(engine, frames)
        session.interact({1: [stroke(1, 20, 20)], 6: [stroke(2, 55, 50)]})
        return session

    whole = begin()
    expected = run(whole)
    stopped = begin()
    for _ in zip(range(done), stopped.propagate(), strict=False):
        pass
    resumed = parse_session(dump_session(stopped), engine, frames)
    assert same(run(resumed), expected) and len({mask.tobytes() for mask in expected.values()}) > 4
    assert dump_session(resumed) == dump_session(parse_session(dump_session(resumed), engine, frames))
    resumed.interact({4: [stroke(1, 30, 20)]})
    whole.interact({4: [stroke(1, 30, 20)]})
    assert same(run(resumed), run(whole))


def test_objects_come_and_go(engine: Engine, frames: Frames) -> None:
    session = Session(engine, frames)
    session.interact(references={0: square(1, 5, 10) + square(2, 60, 40)})
    run(session)
    session.interact({4: [stroke(3, 45, 60)]})
    run(session)
    kept = {f: session.mask(f) == 2 for f in range(8)}
    session.remove_object(1)
    assert session.objects.tags == [2, 3]
    assert all(np.array_equal(session.mask(f) == 2, kept[f]) for f in range(8))
    session.interact({7: [stroke(3, 45, 60)]})
    found = run(session)
    assert not any((mask == 1).any() for mask in found.values())
    again = parse_session(dump_session(session), engine, frames)
    assert same({f: again.mask(f) for f in range(8)}, found)


def test_a_round_that_changes_nothing_is_not_propagated_again(engine: Engine, frames: Frames) -> None:
    session = Session(engine, frames)
    session.interact(references={0: square(1, 5, 10), 7: square(1, 30, 10)})
    found = run(session)
    session.interact(references={0: square(1, 5, 10)})
    assert not session._propagator.lanes
    assert same(run(session), found)


def test_masks_of_a_chain_do_not_depend_on_what_is_run_beside_it(engine: Engine, frames: Frames) -> None:
    both = Session(engine, frames)
    both.interact(references={3: square(1, 15, 10)})
    backward = Session(engine, frames)
    backward.within = range(0, 3)
    backward.interact(references={3: square(1, 15, 10)})
    found = run(both)
    assert same({f: mask for f, mask in run(backward).items() if f < 3}, {f: found[f] for f in range(3)})


def test_another_clip_inherits_objects_and_memory(engine: Engine, frames: Frames) -> None:
    session = Session(engine, frames)
    session.interact(references={0: square(1, 5, 10)})
    run(session)
    heir = Session(engine, frames[::-1].copy())
    heir.inherit(dump_session(session))
    heir.interact({3: [stroke(2, 55, 50)]})
    run(heir)
    assert heir.objects.tags == [1, 2]
    assert same(
        run(parse_session(dump_session(heir), engine, frames[::-1].copy())), {f: heir.mask(f) for f in range(8)}
    )


def test_a_click_is_answered_from_what_the_session_knows(engine: Engine, frames: Frames) -> None:
    from siaf.interactive.clicks import Clicks, segment_clicks

    session = Session(engine, frames)
    session.interact(references={0: square(1, 5, 10)})
    run(session)
    before = dump_session(session)
    (one,) = segment_clicks(session, 4, Clicks(np.array([[60.0, 50.0]]), np.array([[5.0, 5.0]])))
    assert one.mask[50, 60] and not one.mask[5, 5]
    assert dump_session(session) == before


def test_a_state_names_the_tensor_that_does_not_fit(frames: Frames, tmp_path: Path) -> None:
    import json

    from safetensors.torch import load, save

    engine = small_engine("edgetam")
    session = Session(engine, frames)
    session.interact(references={0: square(1, 5, 10)})
    next(session.propagate())
    data = dump_session(session)
    text = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    tensors = load(data)
    name = "lane.0.trail.pointers"
    for wrong, said in (
        (tensors[name][:, :, :, :5], f"{name}: is torch.float32"),
        (tensors[name].half(), f"{name}: is torch.float16"),
        (tensors[name] * torch.nan, f"{name}: holds numbers that no chain has"),
    ):
        with pytest.raises(StateError, match=said):
            parse_session(save({**tensors, name: wrong.contiguous()}, text), engine, frames)
    with pytest.raises(StateError, match="model: the state has 'edgetam', this is 'sam2.1'"):
        parse_session(data, small_engine("sam2.1"), frames)


def test_an_engine_without_such_a_decoder_is_not_adapted(frames: Frames) -> None:
    session = Session(small_engine("sam2.1"), frames)
    session.interact(references={0: square(1, 5, 10), 4: square(1, 20, 10)})
    with pytest.raises(InputError, match="sam2.1 has no decoder that a session can adapt"):
        next(session.adapt())
