"""Objects swapped, merged and split from a frame on: the masks at once, and the rounds that follow."""

import numpy as np
import pytest
from numpy.typing import NDArray
from small_rounds import masks, stroke

from siaf import Scribble, Session
from siaf.errors import InputError, StateError
from siaf.model.loaded import Model
from siaf.session import editing
from siaf.session.mask_store import MaskStore
from siaf.session.snapshot import SessionMasks
from siaf.session.state_file import dump_session, edit_state, parse_session
from siaf.session.state_writing import dump_masks

Frames = NDArray[np.uint8]
START = 6


def finish(session: Session) -> None:
    for _ in session.propagate():
        pass


def renamed(mask: NDArray[np.uint8], names: dict[int, int]) -> NDArray[np.uint8]:
    return np.vectorize(lambda tag: names.get(tag, tag), otypes=[np.uint8])(mask)


@pytest.fixture
def three(tiny_model: Model, clip: Frames) -> Session:
    """Three objects, drawn on frames 1 and 9, which show all of them."""
    session = Session(tiny_model, clip)
    reference = np.zeros(clip.shape[1:3], np.uint8)
    reference[12:28, 10:24], reference[42:58, 68:86], reference[2:8, 80:94] = 1, 2, 3
    session.interact(references={1: reference})
    session.interact({9: [stroke(1, 45, 20), stroke(2, 40, 50), stroke(3, 82, 5)]})
    session.objects.add(1, "car").origin["from"] = "here"
    finish(session)
    assert all({1, 2, 3} <= set(np.unique(mask)) for mask in (session.mask(1), session.mask(9)))
    return session


EDITS = [
    pytest.param(lambda s: s.swap_objects(1, 2, START), {1: 2, 2: 1}, id="swap"),
    pytest.param(lambda s: s.merge_objects(1, 3, START), {3: 1}, id="merge"),
    pytest.param(lambda s: s.split_object(1, START), {1: 4}, id="split"),
]


@pytest.mark.parametrize(("edit", "names"), EDITS)
def test_masks_change_from_the_frame_on_and_nothing_is_left_to_do(three: Session, edit, names) -> None:
    before = masks(three)
    edit(three)
    after = masks(three)
    np.testing.assert_array_equal(after[:START], before[:START])
    np.testing.assert_array_equal(after[START:], [renamed(mask, names) for mask in before[START:]])
    assert three.pending == 0
    assert three.interacted == [1, START - 1, START, 9]  # both sides of the change are pinned


@pytest.mark.parametrize(("edit", "names"), EDITS)
def test_memories_follow(three: Session, edit, names, tiny_model: Model, clip: Frames) -> None:
    """What the next round reads is what a session reads that was given these masks in the first place."""
    edit(three)
    now = {frame: three.mask(frame) for frame in three.interacted}
    places = three.objects.places()
    three.interact({11: [stroke(2, 30, 50)]})
    finish(three)
    other = Session(tiny_model, clip)
    for tag in places:
        assert tag is not None
        other.objects.add(tag)
    other.interact(references=now)
    finish(other)
    for frame, mask in now.items():
        np.testing.assert_array_equal(three.mask(frame), mask)
        for (key, value), (other_key, other_value) in zip(
            three.memory.entries[frame], other.memory.entries[frame], strict=True
        ):
            np.testing.assert_array_equal(key, other_key)
            np.testing.assert_array_equal(value, other_value)


@pytest.mark.parametrize(("edit", "names"), EDITS)
def test_a_file_edited_without_a_model_is_that_of_the_edited_session(three: Session, edit, names) -> None:
    state = dump_session(three)
    digests = {frame: three.frame_digest(frame) for frame in range(12)}
    kind = editing.Edit(START, names, split_off=1 if 4 in names.values() else None)
    edited = edit_state(state, lambda snapshot: editing.apply(snapshot, kind, digests.__getitem__))
    edit(three)
    assert edited == dump_session(three)
    again = parse_session(edited, three.model, three.frames)
    np.testing.assert_array_equal(masks(again), masks(three))


def test_an_adapted_decoder_survives_an_edit_of_the_file(tiny_model: Model, clip: Frames) -> None:
    session = Session(tiny_model, clip)
    reference = np.zeros(clip.shape[1:3], np.uint8)
    reference[10:30, 5:25], reference[40:60, 70:90] = 1, 2
    session.interact(references={0: reference, 5: reference})
    for _ in session.adapt():
        pass
    finish(session)
    edited = edit_state(
        dump_session(session), lambda snapshot: editing.apply(snapshot, editing.swap(1, 2, 3), session.frame_digest)
    )
    again = parse_session(edited, tiny_model, clip)
    assert session.decoder is not None and again.decoder is not None
    assert again.decoder.version == session.decoder.version != ""


def test_a_merged_object_that_is_on_no_frame_any_more_is_none(three: Session) -> None:
    three.merge_objects(1, 3, 0)
    assert three.objects.tags == [1, 2]
    assert all(3 not in mask for mask in masks(three))


def test_a_split_object_keeps_label_and_origin(three: Session) -> None:
    assert three.split_object(1, START) == 4
    assert (three.objects[4].label, three.objects[4].origin) == ("car", {"from": "here"})
    assert three.split_object(1, 3, new=9) == 9
    assert three.objects.tags == [1, 2, 3, 4, 9]


def test_a_new_object_is_not_looked_for_where_the_whole_was(three: Session) -> None:
    """Frame 1 shows object 1 before the split: no walk may bring its later part there."""
    three.split_object(1, START)
    three.interact({11: [stroke(2, 30, 50)]})
    finish(three)
    assert 4 not in three.mask(1)


def test_strokes_of_all_rounds_follow(three: Session) -> None:
    """A later round on their frame has the pixels of each as its object is called now."""
    denied = Scribble(1, np.array([[60.0, 30.0], [66.0, 30.0]]), polarity="negative")
    three.interact({9: [stroke(3, 20, 60), denied]})
    finish(three)
    three.swap_objects(1, 2, START)
    mask = three.interact({9: [stroke(3, 5, 40), stroke(1, 58, 30)]})[9]
    for tag, x, y in ((2, 45, 20), (1, 40, 50), (3, 82, 5), (3, 20, 60), (1, 58, 30)):
        assert (mask[y, x : x + 11] == tag).all(), (tag, x, y)


@pytest.mark.parametrize(("edit", "names"), EDITS)
def test_undo_takes_an_edit_back(three: Session, edit, names) -> None:
    before = masks(three)
    edit(three)
    three.undo()
    assert three.interacted == [1, 9]
    finish(three)
    np.testing.assert_array_equal(masks(three), before)


def test_frames_to_keep_stay_as_they_are(three: Session) -> None:
    before = masks(three)
    three.swap_objects(1, 2, START, keep={START, 9})
    after = masks(three)
    for frame in (START, 9):
        np.testing.assert_array_equal(after[frame], before[frame])
    np.testing.assert_array_equal(after[7], renamed(before[7], {1: 2, 2: 1}))
    assert three.interacted == [1, START - 1, 9]


def test_scores_follow_the_object(three: Session) -> None:
    before = three.confidence[10]
    three.swap_objects(1, 2, START)
    assert three.confidence[10] == {1: before[2], 2: before[1], 3: before[3]}
    assert set(three.confidence) == {0, *range(2, 5), 7, 8, 10, 11}


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda s: s.swap_objects(1, 1, START), "objects"),
        (lambda s: s.swap_objects(1, 7, START), "objects"),
        (lambda s: s.merge_objects(7, 1, START), "objects"),
        (lambda s: s.split_object(7, START), "objects"),
        (lambda s: s.split_object(1, START, new=2), "objects"),
        (lambda s: s.split_object(1, START, new=256), "tag"),
        (lambda s: s.swap_objects(1, 2, 12), "from_frame"),
        (lambda s: s.swap_objects(1, 2, "6"), "from_frame"),
        (lambda s: s.split_object(1, 10, keep={10, 11}), "from_frame"),
    ],
)
def test_what_cannot_be_done_is_named_and_changes_nothing(three: Session, call, field: str) -> None:
    before = dump_session(three)
    with pytest.raises(InputError, match=f"^{field}: "):
        call(three)
    assert dump_session(three) == before


def test_an_unfinished_propagation_comes_first(three: Session, tiny_model: Model) -> None:
    three.interact({5: [stroke(2, 60, 50)]})
    before = dump_session(three)
    with pytest.raises(InputError, match=r"^round: .* not finished"):
        three.swap_objects(1, 2, START)
    with pytest.raises(InputError, match=r"^round: .* not finished"):
        edit_state(before, lambda snapshot: None)
    assert dump_session(three) == before


def test_masks_alone_cannot_be_edited(three: Session) -> None:
    alone = dump_masks(SessionMasks(masks=MaskStore(72, 96), interacted=[], confidence={}, frames=12))
    with pytest.raises(StateError, match="masks alone"):
        edit_state(alone, lambda snapshot: None)
