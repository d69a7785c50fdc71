"""The engine against transformers' own video session, the same networks with random weights; and where it differs."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

transformers = pytest.importorskip("transformers")

from small_sam2 import KINDS, SIDE, Kind, small_engine, small_network  # noqa: E402

from siaf.engines.sam2.engine import Sam2Engine  # noqa: E402
from siaf.engines.sam2.network import PromptTensors  # noqa: E402
from siaf.engines.sam2.recent import Recent  # noqa: E402
from siaf.model.preprocessing import normalise  # noqa: E402
from siaf.model.propagation import FrameMemory, concatenate  # noqa: E402
from siaf.model.trail import Place  # noqa: E402

CLOSE = 1e-4
FRAMES = 8


def pictures() -> NDArray[np.uint8]:
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 90, (FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    for t in range(FRAMES):
        frames[t, 10:30, 4 + 3 * t : 24 + 3 * t] = (200, 40, 40)
    return frames


def mask(frame: int, shift: int = 0) -> NDArray[np.uint8]:
    found = np.zeros((SIDE, SIDE), np.uint8)
    found[10 + shift : 30 + shift, 4 + 3 * frame : 24 + 3 * frame] = 1
    return found


def theirs(kind: Kind) -> Any:
    """A session of transformers' on the same frames."""
    video = normalise(torch.from_numpy(pictures()))
    if kind == "edgetam":
        return transformers.EdgeTamVideoInferenceSession(video, SIDE, SIDE, dtype=torch.float32)
    return transformers.Sam2VideoInferenceSession(video, SIDE, SIDE, dtype=torch.float32)


def give(session: Any, kind: Kind, frame: int, given: NDArray[np.uint8]) -> torch.Tensor:
    index = session.obj_id_to_idx(1)
    session.add_mask_inputs(index, frame, torch.from_numpy(given)[None, None].float())
    session.obj_with_new_inputs = [1]
    return small_network(kind)(session, frame_idx=frame).pred_masks[0, 0]


def follow(session: Any, kind: Kind, start: int, reverse: bool = False) -> dict[int, torch.Tensor]:
    """Logits by frame, without the one it starts from."""
    found = small_network(kind).propagate_in_video_iterator(session, start_frame_idx=start, reverse=reverse)
    return {each.frame_idx: each.pred_masks[0, 0] for each in found}


def remember(engine: Sam2Engine, given: dict[int, list[NDArray[np.uint8]]]) -> dict[int, FrameMemory]:
    features = engine.encode_batch([pictures()[frame] for frame in given])
    memories = engine.reference_batch(features, [np.stack(masks) for masks in given.values()])
    return dict(zip(given, memories, strict=True))


def chain(
    engine: Sam2Engine, references: dict[int, FrameMemory], frames: range, objects: int = 1
) -> dict[int, tuple[torch.Tensor, FrameMemory]]:
    """Logits by frame, of the first object where there is one, and what the frame leaves."""
    found: dict[int, tuple[torch.Tensor, FrameMemory]] = {}
    trail: Recent | None = None
    for frame in frames:
        place = Place(tuple(frames.step * (frame - f) for f in references))
        (features,) = engine.encode_batch([pictures()[frame]])
        long = concatenate(list(references.values()))
        (step,) = engine.propagate(
            [features], [long], [], [[1]] * objects, (SIDE, SIDE), trails=[trail], places=[place]
        )
        trail = step.trail  # type: ignore[assignment]
        found[frame] = torch.logit(step.scores[1].double()).float(), step.memory
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", [1, -1])
def test_one_interacted_frame_and_a_chain_from_it_are_as_theirs(kind: Kind, way: int) -> None:
    start = 0 if way > 0 else FRAMES - 1
    session = theirs(kind)
    give(session, kind, start, mask(start))
    expected = follow(session, kind, start, reverse=way < 0)
    frames = range(1, FRAMES) if way > 0 else range(FRAMES - 2, -1, -1)
    engine = small_engine(kind)
    found = chain(engine, remember(engine, {start: [mask(start)]}), frames)
    for frame in frames:
        assert (found[frame][0] - expected[frame]).abs().max() < CLOSE, frame
    assert min(x.std() for x, _ in found.values()) > 100 * CLOSE


@pytest.mark.parametrize("kind", KINDS)
def test_two_interacted_frames_are_read_as_theirs(kind: Kind) -> None:
    session = theirs(kind)
    for frame in (0, 5):
        give(session, kind, frame, mask(frame))
    expected = follow(session, kind, 0)
    engine = small_engine(kind)
    found = chain(engine, remember(engine, {f: [mask(f)] for f in (0, 5)}), range(1, 5))
    for frame in range(1, 5):
        assert (found[frame][0] - expected[frame]).abs().max() < CLOSE, frame


@pytest.mark.parametrize("kind", KINDS)
def test_points_on_a_frame_give_the_mask_that_theirs_gives(kind: Kind) -> None:
    points, labels = torch.tensor([[[10.0, 15.0], [40.0, 50.0]]]), torch.tensor([[1, 0]], dtype=torch.int32)
    session = theirs(kind)
    session.add_point_inputs(session.obj_id_to_idx(1), 0, {"point_coords": points[None], "point_labels": labels[None]})
    session.obj_with_new_inputs = [1]
    expected = small_network(kind)(session, frame_idx=0).pred_masks[0, 0]
    net = small_engine(kind).network
    (features,) = small_engine(kind).encode_batch([pictures()[0]])
    several = net.several(2, tracking=False)
    found = net.decode(features, net.alone(features), PromptTensors(points, labels, None), several=several)
    assert (found.logits[0] - expected).abs().max() < CLOSE


@pytest.mark.parametrize("kind", KINDS)
def test_objects_in_one_batch_are_as_each_alone(kind: Kind) -> None:
    engine = small_engine(kind)
    both = chain(engine, remember(engine, {0: [mask(0), mask(0, 20)]}), range(1, 5), objects=2)
    for number, shift in enumerate((0, 20)):
        alone = chain(engine, remember(engine, {0: [mask(0, shift)]}), range(1, 5))
        for frame in range(1, 5):
            for one, several in zip(alone[frame][1][0], both[frame][1][0], strict=True):
                assert (several[number] - one[0]).abs().max() < 0.02, frame  # memories are rounded to bfloat16


@pytest.mark.parametrize("kind", KINDS)
def test_theirs_loses_a_correction_of_a_tracked_frame_and_ours_keeps_it(kind: Kind) -> None:
    """A frame that they have tracked does not become a conditioning frame: the next propagation draws it anew."""
    session = theirs(kind)
    give(session, kind, 0, mask(0))
    before = follow(session, kind, 0)
    given = give(session, kind, 4, mask(4, 25))
    again = follow(session, kind, 0)
    assert (
        (given > 0).numpy()
        == torch.nn.functional.max_pool2d(torch.from_numpy(mask(4, 25))[None].float(), 4)[0].bool().numpy()
    ).mean() > 0.9
    assert (again[4] - before[4]).abs().max() < CLOSE < (again[4] - given).abs().max()
    engine = small_engine(kind)
    corrected = chain(engine, remember(engine, {0: [mask(0)], 4: [mask(4, 25)]}), range(1, 4))
    alone = chain(engine, remember(engine, {0: [mask(0)]}), range(1, 4))
    assert (corrected[3][0] - alone[3][0]).abs().max() > CLOSE


@pytest.mark.parametrize("kind", KINDS)
def test_ours_stops_at_the_midpoint_where_theirs_runs_on_through_other_interacted_frames(kind: Kind) -> None:
    """Behind an interacted frame they read what was predicted before it; our chain from there begins anew."""
    session = theirs(kind)
    for frame in (0, 4):
        give(session, kind, frame, mask(frame))
    expected = follow(session, kind, 0)
    engine = small_engine(kind)
    found = chain(engine, remember(engine, {f: [mask(f)] for f in (0, 4)}), range(5, FRAMES))
    assert (found[5][0] - expected[5]).abs().max() > CLOSE
