"""Frames that nothing crosses: each side comes out as if the others were not there."""

import numpy as np
import pytest
from numpy.typing import NDArray
from small_rounds import stroke

from siaf import Session
from siaf.errors import InputError, StateError
from siaf.model.loaded import Model
from siaf.session.barriers import Barriers, plan_stages
from siaf.session.schedule import CARRIED, Chain
from siaf.session.state_file import dump_session, parse_session

Frames = NDArray[np.uint8]
CUT = 5


def finish(session: Session) -> list[NDArray[np.uint8]]:
    for _ in session.propagate():
        pass
    return [session.mask(f) for f in range(len(session.frames))]


def flat(stages: list[list[Chain]]) -> list[Chain]:
    return [chain for stage in stages for chain in stage]


def test_chains_end_before_a_barrier_and_walks_do_not_cross_it() -> None:
    known = {2: frozenset({1}), 4: frozenset({2}), 8: frozenset({3})}
    found = flat(plan_stages(12, {2: 1, 4: 1, 8: 2}, known, [1, 2, 3], False, Barriers((6, 10)), None))
    assert [c for c in found if c.adopts] == [Chain(2, (3, 4), frozenset({1})), Chain(4, (3, 2), frozenset({2}))]
    assert [c for c in found if not c.adopts] == [
        Chain(8, (9,)),
        Chain(8, (7, 6)),
        Chain(2, (3,)),
        Chain(2, (1, 0)),
        Chain(4, (5,)),
    ]


def test_another_clip_is_before_all_barriers() -> None:
    assert flat(plan_stages(6, {}, {}, [1], True, Barriers((4,)), None)) == [Chain(CARRIED, (0, 1, 2, 3))]


def test_each_side_is_as_if_the_other_were_not_there(tiny_model: Model, clip: Frames) -> None:
    whole = Session(tiny_model, clip)
    whole.barriers = [CUT]
    whole.interact({2: [stroke(1, 20, 20)], 8: [stroke(2, 45, 50)]})
    found = finish(whole)
    left, right = Session(tiny_model, clip[:CUT]), Session(tiny_model, clip[CUT:])
    for side, frame, tag, drawn in ((left, 2, 1, stroke(1, 20, 20)), (right, 8 - CUT, 2, stroke(2, 45, 50))):
        for place in (1, 2):  # a tag's place is part of its identity
            side.objects.add(place)
        side.interact({frame: [drawn]})
        guessed = side.mask(frame)  # with random weights, of an object that is not there
        side._annotations.masks[frame] = np.where(guessed == tag, guessed, 0).astype(np.uint8)
    for frame, mask in enumerate([*finish(left), *finish(right)]):
        np.testing.assert_array_equal(found[frame], mask, err_msg=f"frame {frame}")
    crossing = Session(tiny_model, clip)
    crossing.interact({2: [stroke(1, 20, 20)], 8: [stroke(2, 45, 50)]})
    without = finish(crossing)
    assert any((a != b).any() for a, b in zip(found, without, strict=True)), "the barrier makes no difference"


def test_a_side_where_nobody_drew_stays_empty(tiny_model: Model, clip: Frames) -> None:
    session = Session(tiny_model, clip)
    session.barriers = [CUT]
    session.interact({2: [stroke(1, 20, 20)]})
    found = finish(session)
    assert not any(mask.any() for mask in found[CUT:])
    assert session.pending == 0
    assert not session.estimate_mask(9).any()


def test_a_barrier_set_later_takes_back_what_had_been_carried_across(tiny_model: Model, clip: Frames) -> None:
    session = Session(tiny_model, clip)
    session.interact({2: [stroke(1, 20, 20)], 8: [stroke(2, 45, 50)]})
    finish(session)
    assert session.snapshot().annotations.adopted == {2: {2}, 8: {1}}
    session.barriers = [CUT]
    assert session.pending == 10
    finish(session)
    assert 1 not in session.mask(8)
    assert 2 not in session.mask(2)
    session.barriers = ()
    finish(session)
    assert session.snapshot().annotations.adopted == {2: {2}, 8: {1}}


def test_barriers_are_kept_in_the_file_and_old_files_have_none(tiny_model: Model, clip: Frames) -> None:
    session, plain = Session(tiny_model, clip), Session(tiny_model, clip)
    session.barriers = {9, CUT}
    for each in (session, plain):
        each.interact({2: [stroke(1, 20, 20)], 7: [stroke(1, 45, 20)]})
    for done, _ in session.propagate():
        if done == 2:
            break
    again = parse_session(dump_session(session), tiny_model, clip)
    assert again.barriers == (CUT, 9)
    np.testing.assert_array_equal(finish(again), finish(session))
    state = dump_session(plain)
    assert b"barriers" not in state  # as earlier versions wrote, and read it
    assert parse_session(state, tiny_model, clip).barriers == ()


@pytest.mark.parametrize("wrong", ["[0]", "[5, 5]", "[9, 5]", "[12]", "[-1]", '["5"]', "[3]"])
def test_a_file_with_wrong_barriers_is_damaged(tiny_model: Model, clip: Frames, wrong: str) -> None:
    """The last of them is crossed by a chain of the plan."""
    session = Session(tiny_model, clip)
    session.barriers = [CUT]
    session.interact({2: [stroke(1, 20, 20)]})
    state = dump_session(session)
    right = b'\\"barriers\\": [5]'
    assert right in state
    changed = state.replace(right, right[:-3] + wrong.replace('"', '\\"').encode())
    longer = len(changed) - len(state)
    size = int.from_bytes(changed[:8], "little") + longer
    with pytest.raises(StateError, match=r"damaged: plan"):
        parse_session(size.to_bytes(8, "little") + changed[8:], tiny_model, clip)


@pytest.mark.parametrize("wrong", [[0], [12], [-1], ["5"], "5", 5, [True]])
def test_what_is_no_barrier_is_refused(tiny_model: Model, clip: Frames, wrong: object) -> None:
    session = Session(tiny_model, clip)
    with pytest.raises(InputError, match="^barriers: "):
        session.barriers = wrong  # type: ignore[assignment]
    assert session.barriers == ()
