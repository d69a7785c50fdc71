"""The thread that owns the session: whose turn it is, and what others see meanwhile."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from recording_model import RecordingModel
from studio_client import until

from function.http.messages import ApiError
from siaf.errors import InputError
from siaf.model.loaded import Model
from siaf.scribbles import Scribble
from siaf.session.session import Session
from siaf.studio.ahead import Ahead
from siaf.studio.clip import VideoClip, open_clip
from siaf.studio.desk import Desk


@pytest.fixture
def opened(folder: Path) -> VideoClip:
    return open_clip(folder)


@pytest.fixture
def desk(opened: VideoClip, tiny_model: Model) -> Iterator[Desk]:
    running = Desk(opened, opened.load(tiny_model))
    yield running
    running.close()


def draw(session: Session) -> object:
    return session.interact({2: [Scribble.click(1, 14, 20)]})


class Gate:
    """A job that the desk does until it is let go."""

    def __init__(self, desk: Desk) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        self.future = desk.look(self._wait)
        assert self.reached.wait(60)

    def _wait(self, session: Session) -> None:
        self.reached.set()
        assert self.open.wait(60)


def test_a_newer_preview_takes_the_place_of_one_that_waits(desk: Desk) -> None:
    gate = Gate(desk)
    old = desk.look(lambda session: "old", key="preview a")
    other = desk.look(lambda session: "other", key="preview b")
    new = desk.look(lambda session: "new", key="preview a")
    with pytest.raises(ApiError) as error:
        old.result(60)
    assert (error.value.status, error.value.code) == (409, "replaced")
    gate.open.set()
    assert (other.result(60), new.result(60)) == ("other", "new")


def test_jobs_get_their_turn_between_frames(desk: Desk) -> None:
    revision = desk.change(0, lambda session: draw(session) and session.revision).result()
    desk.propagate(revision).result()
    done = [desk.look(lambda session: session.plan.results_done).result() for _ in range(3)]
    assert done[-1] < 11
    assert desk.view.propagation.running
    desk.stop().result()
    assert not desk.view.propagation.running
    assert done[-1] <= desk.view.propagation.done < 11


def test_looking_waits_for_nothing(desk: Desk) -> None:
    desk.change(0, draw).result()
    gate = Gate(desk)
    assert desk.view.mask(2) is not None
    assert desk.view.drawn == {2}
    gate.open.set()


def test_a_change_ends_a_propagation_and_a_refused_one_does_not(desk: Desk) -> None:
    desk.change(0, draw).result()
    desk.propagate(1).result()
    with pytest.raises(InputError):
        desk.change(1, lambda session: session.remove_object(9)).result()
    assert desk.view.propagation.running
    desk.change(1, draw).result()
    assert not desk.view.propagation.running
    assert desk.view.propagation.done == 0


def test_a_frame_that_cannot_be_read_ends_the_propagation_and_is_told(
    folder: Path, tiny_model: Model, opened: VideoClip
) -> None:
    session = opened.load(tiny_model)
    desk = Desk(opened, session)
    desk.change(0, draw).result()
    (folder / "6.png").write_bytes(b"damaged")
    desk.propagate(1).result()
    until(lambda: not desk.view.propagation.running, "it ends")
    assert "6.png" in str(desk.view.propagation.error)
    assert desk.view.mask(5) is not None
    desk.change(None, lambda session: session.undo()).result()
    assert desk.view.propagation.error is None
    desk.close()


def test_frames_are_encoded_while_the_labeler_draws(opened: VideoClip, recording: RecordingModel) -> None:
    desk = Desk(opened, opened.load(recording))
    desk.drawn_on(4)
    desk.look(lambda session: None).result()
    until(lambda: len(recording.counts("encode_batch")) == 12, "all are encoded")
    desk.look(lambda session: recording.calls.clear()).result()
    desk.change(0, lambda session: session.interact({4: [Scribble.click(1, 14, 20)]})).result()
    desk.propagate(1).result()
    until(lambda: desk.view.propagation.done == 11, "all are done")
    assert not recording.counts("encode_batch")
    desk.close()


class Segmenter:
    """Encodes a frame in three parts; `seen`: a pixel of each that it was given."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def embed_part(self, frame: NDArray[np.uint8]) -> bool:
        self.seen.append(float(frame[20, 21, 0]))
        return len(self.seen) < 3


def test_a_frame_that_is_shown_is_encoded_for_its_first_preview(opened: VideoClip, tiny_model: Model) -> None:
    segmenter = Segmenter()
    desk = Desk(opened, opened.load(replace(tiny_model, segmenter=segmenter)))  # type: ignore[arg-type]
    desk.shown(4)
    until(lambda: len(segmenter.seen) == 3, "it is encoded")
    desk.close()
    assert segmenter.seen == [200.0] * 3


def test_a_call_waits_for_one_part_of_what_is_computed_ahead(opened: VideoClip, tiny_model: Model) -> None:
    begun, told = threading.Event(), threading.Event()

    class Slow(Segmenter):
        def embed_part(self, frame: NDArray[np.uint8]) -> bool:
            super().embed_part(frame)
            begun.set()
            assert told.wait(60)
            return True

    segmenter = Slow()
    desk = Desk(opened, opened.load(replace(tiny_model, segmenter=segmenter)))  # type: ignore[arg-type]
    desk.shown(4)
    assert begun.wait(60)
    asked = desk.look(lambda session: len(segmenter.seen))
    told.set()
    assert asked.result(60) == 1
    desk.close()


def test_the_nearest_frames_come_first(opened: VideoClip, tiny_model: Model) -> None:
    session = opened.load(tiny_model)
    ahead, order = Ahead(session), []
    session.prepare = lambda frame: bool(order.append(frame)) or True  # type: ignore[method-assign]
    ahead.drawn_on(1)
    ahead.drawn_on(8)
    ahead.drawn_on(99)
    while ahead.wanted:
        ahead.step()
    assert order == [8, 1, 7, 9, 0, 2, 6, 10, 3, 5, 11, 4]
    opened.close()


def test_frames_that_would_have_to_be_fetched_are_left(
    opened: VideoClip, tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {2, 3, 4}
    monkeypatch.setattr(type(opened.frames), "at_hand", lambda self, frame: frame in here)
    session = opened.load(tiny_model)
    ahead, order = Ahead(session), []
    session.prepare = lambda frame: bool(order.append(frame)) or True  # type: ignore[method-assign]
    ahead.drawn_on(3)
    while ahead.wanted:
        ahead.step()
    assert order == [3, 2, 4]
    session.interact({2: [Scribble.click(1, 14, 20)], 8: [Scribble.click(2, 79, 50)]})
    ahead.round_taken()
    while ahead.wanted:
        ahead.step()
    assert session.plan.remaining_frames[0] == 5
    here.add(5)
    while ahead.wanted:
        ahead.step()
    assert order == [3, 2, 4, 5]
    assert session.plan.remaining_frames[0] == 6
    opened.close()


def test_after_a_round_objects_are_on_their_way_before_anybody_propagates(
    opened: VideoClip, recording: RecordingModel
) -> None:
    strokes = {2: [Scribble.click(1, 14, 20)], 8: [Scribble.click(2, 79, 50)]}
    alone = Session(recording, opened.frames)
    alone.interact(strokes)
    for _ in alone.propagate():
        pass
    recording.calls.clear()
    desk = Desk(opened, opened.load(recording))
    desk.change(0, lambda session: session.interact(strokes)).result()
    until(lambda: len(recording.counts("propagate")) == 5, "object 1 comes near frame 8")
    time.sleep(0.5)
    assert len(recording.counts("propagate")) == 5
    assert desk.view.propagation.done == 0
    desk.propagate(1).result()
    until(lambda: not desk.view.propagation.running, "all are done")
    assert all((desk.view.mask(frame) == alone.mask(frame)).all() for frame in range(12))
    desk.close()


def test_a_frame_that_cannot_be_read_stops_nothing_ahead(
    folder: Path, opened: VideoClip, recording: RecordingModel
) -> None:
    ahead = Ahead(opened.load(recording))
    (folder / "4.png").write_bytes(b"damaged")
    ahead.drawn_on(4)
    while ahead.wanted:
        ahead.step()
    assert sum(recording.counts("encode_batch")) == 11
    opened.close()


def test_what_waits_is_done_before_the_end(opened: VideoClip, tiny_model: Model) -> None:
    desk = Desk(opened, opened.load(tiny_model))
    gate = Gate(desk)
    change = desk.change(0, draw)
    closing = threading.Thread(target=desk.close)
    closing.start()
    gate.open.set()
    change.result(60)
    closing.join(60)
    assert Session.load(opened.state, tiny_model, opened.frames).interacted == [2]
    with pytest.raises(ApiError, match="being closed"):
        desk.stop()
