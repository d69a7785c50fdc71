"""A range of frames to propagate to: inside it the masks of a full propagation, outside it nothing happens."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_rounds import masks

from siaf import Scribble, Session
from siaf.errors import InputError
from siaf.model.loaded import Model
from siaf.session.schedule import Chain, limited
from siaf.session.state_file import dump_session, parse_session

Frames = NDArray[np.uint8]


def draw(session: Session, **tags: int) -> None:
    strokes = {int(f[1:]): [Scribble(tag, np.array([[20.0, 20.0], [30.0, 20.0]]))] for f, tag in tags.items()}
    session.interact(strokes)


def finish(session: Session) -> list[tuple[int, int]]:
    return list(session.propagate())


@pytest.fixture(scope="module")
def full(tiny_model: Model, clip: Frames) -> list[NDArray[np.uint8]]:
    session = Session(tiny_model, clip)
    draw(session, f2=1, f9=2)
    finish(session)
    return masks(session)


@pytest.mark.parametrize(
    ("within", "chains"),
    [
        (range(4, 6), [Chain(2, (3, 4, 5))]),
        (range(0, 1), [Chain(2, (1, 0))]),
        (range(5, 8), [Chain(2, (3, 4, 5)), Chain(9, (8, 7, 6))]),
        (range(2, 3), []),
    ],
)
def test_chains_end_at_their_last_frame_of_the_range(within: range, chains: list[Chain]) -> None:
    every = [Chain(2, (3, 4, 5)), Chain(2, (1, 0)), Chain(9, (8, 7, 6)), Chain(9, (10, 11))]
    assert limited(every, within) == chains


def test_inside_the_masks_are_those_of_a_full_propagation_and_outside_there_are_none(
    tiny_model: Model, clip: Frames, full: list[NDArray[np.uint8]]
) -> None:
    session = Session(tiny_model, clip)
    session.within = range(5, 8)
    draw(session, f2=1, f9=2)
    assert session.pending == 3
    assert sorted(set(session.plan.results) - {2, 9}) == [5, 6, 7]
    assert finish(session)[-1] == (3, 3)
    assert sorted(session.confidence) == [5, 6, 7]
    for frame in (2, 5, 6, 7, 9):
        np.testing.assert_array_equal(session.mask(frame), full[frame])
    assert not any(session.mask(frame).any() for frame in (0, 1, 3, 4, 8, 10, 11))


def test_masks_of_an_earlier_round_stay_outside(tiny_model: Model, clip: Frames) -> None:
    session, other = Session(tiny_model, clip), Session(tiny_model, clip)
    for one in (session, other):
        draw(one, f2=1)
        finish(one)
    before = masks(session)
    session.within = range(7, 9)
    for one in (session, other):
        draw(one, f10=2)
        finish(one)
    after, everywhere = masks(session), masks(other)
    changed = [f for f in range(12) if (after[f] != before[f]).any()]
    assert set(changed) <= {2, 7, 8, 10}
    assert any((before[f] != everywhere[f]).any() for f in (0, 1, 3, 4, 5, 6, 9, 11))  # a full round would change some
    for frame in (7, 8):
        np.testing.assert_array_equal(after[frame], everywhere[frame])
    assert session.shrunk == [one for one in session.shrunk if set(one.frames) <= {7, 8}]


def test_the_rest_is_done_when_the_range_is_lifted(
    tiny_model: Model, clip: Frames, full: list[NDArray[np.uint8]]
) -> None:
    session = Session(tiny_model, clip)
    draw(session, f2=1, f9=2)
    session.within = range(5, 8)
    finish(session)
    session.within = None
    assert session.pending == 10
    finish(session)
    np.testing.assert_array_equal(masks(session), full)


def test_a_stopped_propagation_of_a_range_goes_on_from_its_file(
    tiny_model: Model, clip: Frames, full: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    session = Session(tiny_model, clip)
    session.within = range(5, 8)
    draw(session, f2=1, f9=2)
    for done, _ in session.propagate():
        if done == 1:
            break
    again = parse_session(dump_session(session), tiny_model, clip)
    assert again.within == range(5, 8)
    finish(again)
    assert sorted(again.confidence) == [5, 6, 7]
    np.testing.assert_array_equal([again.mask(f) for f in (5, 6, 7)], full[5:8])


def test_without_a_range_a_state_file_says_nothing_of_it(tiny_model: Model, clip: Frames) -> None:
    session = Session(tiny_model, clip)
    draw(session, f2=1)
    assert b"within" not in dump_session(session)


def test_what_another_clip_taught_is_carried_to_the_range_only(tiny_model: Model, clip: Frames) -> None:
    first, second = Session(tiny_model, clip), Session(tiny_model, clip[::-1])
    draw(first, f2=1)
    finish(first)
    second.inherit(dump_session(first))
    second.within = range(3, 5)
    finish(second)
    assert sorted(second.confidence) == [3, 4]


@pytest.mark.parametrize("within", [range(5, 5), range(-1, 3), range(3, 13), range(0, 8, 2), (3, 5), "3-5"])
def test_what_is_no_range_of_frames_is_refused(tiny_model: Model, clip: Frames, within: range) -> None:
    session = Session(tiny_model, clip)
    with pytest.raises(InputError, match="within: "):
        session.within = within


@pytest.mark.parametrize("wrong", ["[5, 5]", "[5, 13]", "[8, 5]", "[5]"])
def test_a_damaged_range_in_a_file_is_named(tiny_model: Model, clip: Frames, wrong: str) -> None:
    session = Session(tiny_model, clip)
    session.within = range(5, 12)
    draw(session, f2=1)
    data = dump_session(session)
    damaged = data.replace(b'\\"within\\": [5, 12]', f'\\"within\\": {wrong}'.ljust(19).encode())
    assert len(damaged) == len(data)
    assert damaged != data
    with pytest.raises(InputError, match="within"):
        parse_session(damaged, tiny_model, clip)
