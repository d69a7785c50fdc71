"""Objects followed over pictures that arrive one by one."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from recording_model import RecordingModel
from small_rounds import run

from siaf import Scribble, Session
from siaf.errors import InputError
from siaf.frames.source import frame_digest
from siaf.interactive.tracking import Pending, Track, Tracker
from siaf.masks import encode_rle
from siaf.model.loaded import Model
from siaf.prompts import ObjectPrompt
from siaf.session.feature_cache import FeatureCache

Frames = NDArray[np.uint8]


def square(left: int, top: int) -> NDArray[np.bool_]:
    mask = np.zeros((72, 96), bool)
    mask[top : top + 20, left : left + 20] = True
    return mask


class Film:
    """A tracker and the clip that it is shown."""

    def __init__(self, model: Model, clip: Frames) -> None:
        self.clip = clip
        self.digests = [frame_digest(frame) for frame in clip]
        pictures = dict(zip(self.digests, clip, strict=True))
        self.tracker = Tracker(model, FeatureCache(), pictures.__getitem__)

    def prompt(self, number: int, *prompts: ObjectPrompt, track: Track | None = None) -> Track:
        return self.tracker.prompt(track or Track(72, 96), Pending(self.digests[number], prompts))

    def step(self, track: Track, *numbers: int) -> Track:
        for number in numbers:
            track = self.tracker.step(track, self.clip[number], self.digests[number])
        return track


@pytest.fixture
def film(tiny_model: Model, clip: Frames) -> Film:
    return Film(tiny_model, clip)


@pytest.mark.parametrize(("start", "path"), [(0, range(1, 12)), (11, range(10, -1, -1))])
def test_a_walk_in_either_direction_gives_what_a_session_gives(
    film: Film, tiny_model: Model, clip: Frames, start: int, path: range
) -> None:
    mask = (square(5, 10) * 1 + square(70, 40) * 2).astype(np.uint8)
    session = Session(tiny_model, clip)
    session.interact(references={start: mask})
    expected = run(session)
    track = film.prompt(start, ObjectPrompt(1, rle=encode_rle(mask == 1)), ObjectPrompt(2, rle=encode_rle(mask == 2)))
    for number in path:
        track = film.step(track, number)
        assert np.array_equal(track.mask, expected[number])


def test_prompts_on_several_pictures_are_one_round(recording: RecordingModel, clip: Frames) -> None:
    film = Film(recording, clip)
    track = film.prompt(2, ObjectPrompt(1, strokes=(Scribble(1, np.array([[15.0, 20], [20, 20]])),)))
    track = film.prompt(9, ObjectPrompt(2, box=(30, 40, 60, 60)), track=track)
    track = film.step(track, 3)
    assert recording.counts("decode_masks") == [2]
    assert track.tags == [1, 2]


def test_a_track_is_a_value_that_one_may_go_back_to(film: Film) -> None:
    begun = film.prompt(4, ObjectPrompt(1, rle=encode_rle(square(20, 10))))
    here = film.step(begun, 5)
    once = film.step(here, 6, 7, 8)
    film.step(here, 4, 3)
    again = film.step(here, 6, 7, 8)
    assert np.array_equal(once.mask, again.mask)


def test_a_prompted_picture_shows_what_was_given(film: Film) -> None:
    track = film.step(film.prompt(4, ObjectPrompt(1, rle=encode_rle(square(20, 10)))), 5, 6, 4)
    assert np.array_equal(track.mask, square(20, 10))


def test_joined_tracks_are_one_pass_and_keep_what_was_found(recording: RecordingModel, clip: Frames) -> None:
    film = Film(recording, clip)
    both = ObjectPrompt(1, rle=encode_rle(square(5, 10))), ObjectPrompt(2, rle=encode_rle(square(60, 45)))
    running = film.step(film.prompt(0, *both), 1, 2)
    fresh = film.prompt(2, ObjectPrompt(1, rle=encode_rle(square(62, 40))))
    assert Tracker.joinable([running, fresh])
    joined = film.tracker.join([(running, {1: 5}), (fresh, {1: 6})])
    assert joined.tags == [5, 6]
    here = film.step(joined, 2)
    assert here.mask is not None
    assert np.array_equal(here.mask == 6, square(62, 40) & ~(running.mask == 1))
    film.step(joined, 3)
    (slots,) = recording.calls[-1].slots
    assert len(slots) == 2


def test_tracks_at_different_pictures_cannot_be_joined(film: Film) -> None:
    one = film.step(film.prompt(0, ObjectPrompt(1, rle=encode_rle(square(5, 10)))), 1)
    two = film.step(film.prompt(2, ObjectPrompt(1, rle=encode_rle(square(62, 40)))), 3)
    assert not Tracker.joinable([one, two])
    assert not Tracker.joinable([one, film.prompt(2, ObjectPrompt(1, rle=encode_rle(square(62, 40))))])
    assert not Tracker.joinable([one, replace(film.prompt(1, ObjectPrompt(1, rle=encode_rle(square(5, 5)))), width=50)])


def test_another_process_goes_on_from_a_dump(film: Film, tiny_model: Model, clip: Frames) -> None:
    track = film.step(film.prompt(0, ObjectPrompt(1, rle=encode_rle(square(5, 10)))), 1)
    session = film.tracker.load(film.tracker.dump(track), track.prompted, 72, 96)
    assert np.array_equal(film.step(replace(track, session=session), 2).mask, film.step(track, 2).mask)


def test_a_picture_of_another_size_is_refused(film: Film) -> None:
    track = film.prompt(0, ObjectPrompt(1, rle=encode_rle(square(5, 10))))
    with pytest.raises(InputError, match="picture: is 50×50 pixels, the frames before 96×72"):
        film.tracker.step(track, np.zeros((50, 50, 3), np.uint8), "x")
