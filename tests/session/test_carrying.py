"""Objects that are carried to frames where nobody drew them: within a clip, and from another one."""

import numpy as np
from small_rounds import Frames, run, stroke

from siaf import Scribble, Session
from siaf.model.loaded import Model
from siaf.scribbles import rasterize
from siaf.session.state_file import dump_session


def test_a_later_object_leaves_earlier_interacted_frames_of_others_alone(session: Session, clip: Frames) -> None:
    reference = np.zeros(clip.shape[1:3], np.uint8)
    reference[10:40, 10:40] = 1
    session.interact(references={2: reference})
    run(session)
    session.interact({8: [stroke(2, 60, 50)]})
    assert ((session.mask(2) == 1) == (reference == 1)).all()


def test_an_object_drawn_on_one_frame_is_carried_to_the_other_interacted_frames(session: Session) -> None:
    """Whatever the interaction network guessed: the frame must not teach the memory that the object is background."""
    session.interact({3: [stroke(1, 20, 20)], 8: [stroke(2, 45, 50)]})
    before = {f: session.mask(f) for f in (3, 8)}
    carried = sum(done == 0 for done, _ in session.propagate())
    assert carried == 10  # five frames each way
    assert np.array_equal(session.mask(3) == 1, before[3] == 1)
    assert np.array_equal(session.mask(8) == 2, before[8] == 2)


def test_a_background_stroke_holds_against_an_object_that_is_carried_there(session: Session) -> None:
    everywhere = Scribble(0, np.array([[0.0, y] if y % 2 else [95.0, y] for y in range(72)]), width=9)
    session.interact({3: [stroke(1, 20, 20)], 8: [stroke(2, 45, 50), everywhere]})
    before = session.mask(8)
    run(session)
    assert np.array_equal(session.mask(8), before)


def test_a_human_mask_speaks_for_all_objects_of_its_round(session: Session, clip: Frames) -> None:
    reference = np.zeros(clip.shape[1:3], np.uint8)
    reference[5:20, 5:20] = 1
    session.interact({8: [stroke(2, 45, 50)]}, references={3: reference})
    run(session)
    assert np.array_equal(session.mask(3), reference)


def test_an_object_is_carried_again_after_its_source_was_corrected(session: Session, clip: Frames) -> None:
    one, two = np.zeros(clip.shape[1:3], np.uint8), np.zeros(clip.shape[1:3], np.uint8)
    one[10:30, 10:30], two[40:60, 40:70] = 1, 2
    session.interact(references={3: one, 8: two}, about={3: [1], 8: [2]})
    run(session)
    carried = session.mask(8) == 1
    moved = np.zeros_like(one)
    moved[5:70, 60:95] = 1
    session.interact(references={3: moved}, about={3: [1]})
    assert np.array_equal(session.mask(8) == 1, carried)  # until it is carried again
    run(session)
    assert not np.array_equal(session.mask(8) == 1, carried)
    assert np.array_equal(session.mask(8) == 2, two == 2)


def test_objects_from_another_clip_stay_where_its_memory_finds_them(
    session: Session, tiny_model: Model, clip: Frames
) -> None:
    two = np.zeros((72, 96), np.uint8)
    two[10:30, 17:37], two[40:60, 58:78] = 1, 2
    session.interact(references={3: two})
    run(session)
    heir = Session(tiny_model, clip)
    heir.inherit(dump_session(session))
    found = heir.estimate_mask(5)
    after = heir.interact({5: [stroke(1, 2, 2)]})[5]
    drawn = rasterize([stroke(1, 2, 2)], 72, 96) == 1
    assert ((after == 2) == ((found == 2) & ~drawn)).all()


def test_an_object_may_be_removed_while_it_is_still_to_be_carried(session: Session) -> None:
    session.interact({0: [stroke(1, 20, 20)], 8: [stroke(2, 45, 50)]})
    session.remove_object(2)
    assert all(not (mask == 2).any() for mask in run(session).values())
    assert session.pending == 0


def test_an_undo_below_the_groups_of_an_inherited_memory(session: Session, tiny_model: Model, clip: Frames) -> None:
    session.interact({3: [stroke(1, 20, 20)]})
    run(session)
    heir = Session(tiny_model, clip)
    heir.inherit(dump_session(session))
    heir.interact({4: [stroke(100 + i, 5 + 5 * i, 5 + 5 * i) for i in range(10)]})
    run(heir)
    heir.undo()
    run(heir)
    assert (heir.objects.tags, heir.objects.groups(), heir.pending) == ([1], 1, 0)
