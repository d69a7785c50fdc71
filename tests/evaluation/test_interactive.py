"""The robot plays the labeler: which frames, which strokes, what is counted."""

from dataclasses import replace

import numpy as np
import pytest

from siaf.evaluation.baselines import copy_nearest
from siaf.evaluation.davis import LabelledSequence
from siaf.evaluation.interactive import fill_by, first_strokes, play, propagate_newest, repropagate, robot_sets
from siaf.model.loaded import Model
from siaf.scribbles import Scribble
from siaf.session.session import Session


def stroke(tag: int) -> Scribble:
    return Scribble(tag, np.array([[10.0, 10], [20, 20]]))


def test_without_human_scribbles_the_robot_begins(two_objects: LabelledSequence) -> None:
    assert first_strokes(two_objects, 3) == [None]


def test_one_frame_per_round_makes_each_set_a_sample_and_three_frames_take_all_sets(
    two_objects: LabelledSequence,
) -> None:
    sets = ({0: [stroke(1)]}, {2: [stroke(1)]}, {4: [stroke(2)]})
    sequence = replace(two_objects, scribbles=sets)
    assert [sorted(s or {}) for s in first_strokes(sequence, 1)] == [[0], [2], [4]]
    assert [sorted(s or {}) for s in first_strokes(sequence, 2)] == [[0, 2], [2, 4], [0, 4]]
    assert [sorted(s or {}) for s in first_strokes(sequence, 3)] == [[0, 2, 4]]
    assert [sorted(s or {}) for s in first_strokes(sequence, 5)] == [[0, 2, 4]]


def test_sets_on_the_same_frame_are_merged(two_objects: LabelledSequence) -> None:
    sequence = replace(two_objects, scribbles=({2: [stroke(1)]}, {2: [stroke(2)]}))
    assert first_strokes(sequence, 2) == [{2: [stroke(1), stroke(2)]}]


def test_the_robot_can_stand_in_for_the_humans(two_objects: LabelledSequence) -> None:
    sets = robot_sets(two_objects).scribbles
    assert [sorted(one) for one in sets] == [[0], [2], [4]]
    assert {s.tag for one in sets for drawn in one.values() for s in drawn} == {1, 2}


@pytest.mark.parametrize(("per_round", "frames"), [(1, [1, 2, 3]), (2, [2, 4, 6])])
def test_every_round_scribbles_new_frames(
    tiny_model: Model, two_objects: LabelledSequence, per_round: int, frames: list[int]
) -> None:
    played = play(tiny_model, two_objects, per_round=per_round, rounds=3)
    assert [one.scribbled_frames for one in played] == frames
    for one in played:
        assert one.score.jaccard.shape == one.score.boundary.shape == (2,)
        assert one.score.seconds > 0
        assert 0 <= one.drawn <= 1


def test_frames_of_human_scribbles_may_come_again(tiny_model: Model, two_objects: LabelledSequence) -> None:
    first = {f: [stroke(1)] for f in range(6)}
    played = play(tiny_model, two_objects, per_round=2, rounds=2, first=first)
    assert [one.scribbled_frames for one in played] == [6, 6]
    assert played[1].drawn != played[0].drawn


def test_a_perfect_method_is_not_scribbled_again(tiny_model: Model, two_objects: LabelledSequence) -> None:
    def perfect(session: Session) -> None:
        session.interact(references=dict(enumerate(two_objects.masks)))

    first, second = play(tiny_model, two_objects, per_round=1, rounds=2, fill=perfect)
    assert first.score.jaccard.tolist() == second.score.jaccard.tolist() == [1, 1]
    assert second.scribbled_frames == 1
    assert np.isnan(second.drawn)


def test_swaps_are_counted_when_they_appear_not_while_they_last(
    tiny_model: Model, two_objects: LabelledSequence
) -> None:
    left = two_objects.masks.copy()  # only half of each object is found, so that there is always something to draw
    left[:, ::2] = 0
    rounds = iter((left, (3 - left) * (left > 0), (3 - left) * (left > 0)))

    def exchange(session: Session) -> None:
        """Right in the first round, then both tags are exchanged."""
        session.interact(references=dict(enumerate(next(rounds))))

    played = play(tiny_model, two_objects, per_round=1, rounds=3, fill=exchange)
    assert [one.swaps for one in played] == [0, 2 * len(left), 0]


def test_a_baseline_stands_in_for_propagation(tiny_model: Model, two_objects: LabelledSequence) -> None:
    session = Session(tiny_model, two_objects.frames)
    session.interact(references={1: two_objects.masks[1], 4: two_objects.masks[4]})
    fill_by(lambda frames, known: copy_nearest(len(frames), known))(session)
    shown = [1, 1, 1, 4, 4, 4]
    assert all((session.mask(i) == two_objects.masks[of]).all() for i, of in enumerate(shown))


def test_without_repropagation_frames_near_older_rounds_keep_their_masks(
    tiny_model: Model, two_objects: LabelledSequence
) -> None:
    session = Session(tiny_model, two_objects.frames)
    session.interact(references={0: two_objects.masks[0]})
    repropagate(session)
    for i in range(1, 6):
        session.set_propagated_mask(i, np.full_like(two_objects.masks[i], 1))
    session.interact(references={5: two_objects.masks[5]})
    propagate_newest(session)
    kept = [bool((session.mask(i) == 1).all()) for i in range(6)]
    assert kept == [False, True, True, False, False, False]
