"""Functions for cvat_sdk.auto_annotation: what agents and `annotate_task` call."""

import gc
import weakref
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bench import Bench, Pictures, bitmap
from cvat_sdk import auto_annotation as cvataa
from PIL import Image

from siaf import Session
from siaf.cvat.auto_annotation import SessionReplay, SiafInteraction, SiafTracking, create
from siaf.errors import InputError, SiafError
from siaf.interactive.tracking import Tracker
from siaf.masks import encode_rle
from siaf.model.loaded import Model
from siaf.session.state_file import dump_session


def image(pictures: Pictures, frame: int) -> Image.Image:
    return Image.fromarray(pictures[frame])


def prompts(**given: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"pos_points": [], "neg_points": [], "bounding_box": None, **given})


def test_clicks_become_a_mask_with_confidence(tiny_model: Model, pictures: Pictures) -> None:
    function = SiafInteraction(tiny_model)
    prepared = function.preprocess_image(None, image(pictures, 0))
    (shape,) = function.detect(None, prepared, prompts(pos_points=[(12.0, 20.0)], neg_points=[(60.0, 60.0)]))
    mask = bitmap(shape.points, pictures)
    assert mask[20, 12]
    assert not mask[60, 60]
    (attribute,) = shape.attributes
    assert attribute.spec_id == 0
    assert 0 <= float(attribute.value) <= 1


def test_a_box_alone_is_enough(tiny_model: Model, pictures: Pictures) -> None:
    function = SiafInteraction(tiny_model)
    prepared = function.preprocess_image(None, image(pictures, 0))
    (shape,) = function.detect(None, prepared, prompts(bounding_box=((5, 10), (25, 30))))
    assert shape.type == "mask"


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("mask", [0.0, 400.0, 5.0, 10.0, 24.0, 29.0]),
        ("polygon", [5.0, 10.0, 24.0, 10.0, 24.0, 29.0, 5.0, 29.0]),
        ("rectangle", [5.0, 10.0, 25.0, 30.0]),
    ],
)
def test_a_shape_is_followed_in_its_own_form(
    tiny_model: Model, pictures: Pictures, kind: str, points: list[float]
) -> None:
    function = SiafTracking(tiny_model)
    context = SimpleNamespace(original_shape_type=kind)
    first = function.preprocess_image(context, image(pictures, 0))
    state = function.init_tracking_state(context, first, cvataa.TrackableShape(type=kind, points=points))
    for frame in (1, 2):
        shape = function.track(context, function.preprocess_image(context, image(pictures, frame)), state)
        assert shape is not None
        assert shape.type == kind and len(shape.points) >= 4


def test_an_object_that_is_not_there_is_none(
    tiny_model: Model, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = SiafTracking(tiny_model)
    context = SimpleNamespace(original_shape_type="mask")
    first = function.preprocess_image(context, image(pictures, 0))
    shape = cvataa.TrackableShape(type="mask", points=[0.0, 1.0, 5.0, 5.0, 5.0, 5.0])
    state = function.init_tracking_state(context, first, shape)
    gone = replace(state.track, mask=np.zeros(pictures.shape[1:3], np.uint8))
    monkeypatch.setattr(Tracker, "step", lambda *_: gone)  # random weights see it everywhere
    assert function.track(context, function.preprocess_image(context, image(pictures, 1)), state) is None


def test_an_agent_that_works_for_days_keeps_no_frame_of_what_it_forgot(tiny_model: Model, pictures: Pictures) -> None:
    function = SiafTracking(tiny_model)
    context = SimpleNamespace(original_shape_type="rectangle")
    first = function.preprocess_image(context, image(pictures, 0))
    shape = cvataa.TrackableShape(type="rectangle", points=[5.0, 10.0, 25.0, 30.0])
    state = function.init_tracking_state(context, first, shape)
    function.track(context, function.preprocess_image(context, image(pictures, 1)), state)
    frame = weakref.ref(first.pixels)
    del first, state
    gc.collect()
    assert frame() is None


def test_a_session_is_replayed_onto_a_task(bench: Bench, tiny_model: Model, pictures: Pictures) -> None:
    (job,) = bench.task(pictures[:4])
    session = Session(tiny_model, pictures[:4])
    reference = np.zeros(pictures.shape[1:3], np.uint8)
    reference[10:30, 10:30] = 3
    session.interact(references={1: reference})
    session.objects.add(3, "car")
    for _ in session.propagate():
        pass
    replay = SessionReplay(dump_session(session), pictures[:4])
    task = bench.server.job(job)["task_id"]
    cvataa.annotate_task(bench.client, task, replay)
    found = {s["frame"]: s for s in bench.shapes(job)}
    for frame in range(4):
        mask = session.mask(frame) == 3
        assert (frame in found) == mask.any()
        if mask.any():
            assert found[frame]["points"] == encode_rle(mask)
            assert found[frame]["group"] == 3
            assert found[frame]["source"] == "auto"


def test_a_session_of_other_frames_cannot_be_replayed(tiny_model: Model, pictures: Pictures) -> None:
    session = Session(tiny_model, pictures[:4])
    with pytest.raises(InputError, match="frames: has 3 frames, the session 4"):
        SessionReplay(dump_session(session), pictures[:3])


def test_cvat_cli_makes_them_by_kind(monkeypatch: pytest.MonkeyPatch, tiny_model: Model) -> None:
    monkeypatch.setattr("siaf.cvat.auto_annotation.load_model", lambda *args, **kwargs: tiny_model)
    assert isinstance(create("interaction"), SiafInteraction)
    assert isinstance(create("tracking"), SiafTracking)
    with pytest.raises(SiafError, match="kind 'magic' is not one of interaction, tracking"):
        create("magic")
