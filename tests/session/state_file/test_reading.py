"""What can be read of a state file, or changed in it, without its model."""

import numpy as np
import pytest
from small_rounds import Frames, advance, masks

from siaf import Session
from siaf.errors import StateError
from siaf.model.loaded import Model
from siaf.session.state_file import (
    dump_session,
    made_with,
    memories_of,
    parse_session,
    read_masks,
    read_summary,
    with_digests,
)
from siaf.session.state_writing import dump_masks


def test_a_summary_needs_no_model(session: Session) -> None:
    found = read_summary(dump_session(session))
    assert (found.model, found.weights) == ("siaf-t", session.model.digest)
    assert (found.frames, found.height, found.width, found.rounds) == (12, 72, 96, 2)
    assert [(known.tag, known.label) for known in found.objects] == [(1, None), (2, "car")]
    assert found.digests == {frame: session.frame_digest(frame) for frame in (3, 8)}


def test_masks_can_be_read_alone_and_kept_alone(session: Session, tiny_model: Model, clip: Frames) -> None:
    advance(session, 99)
    of_session = read_masks(dump_session(session))
    alone = dump_masks(of_session)
    for found in (of_session, read_masks(alone)):
        assert (found.interacted, found.frames, found.height, found.width) == ([3, 8], 12, 72, 96)
        assert all(np.array_equal(found.mask(f), mask) for f, mask in enumerate(masks(session)))
        assert found.score(5, 1) == session.confidence[5][1]
        assert found.score(3, 1) == 1
    assert read_summary(alone).weights is None
    with pytest.raises(StateError, match="model: the state has 'masks only'"):
        parse_session(alone, tiny_model, clip)


@pytest.mark.parametrize(("key", "value"), [("weights", "x"), ("short_side", 97), ("autocast", True)])
def test_whether_a_memory_can_be_read_is_known_beforehand(
    session: Session, tiny_model: Model, clip: Frames, key: str, value: object
) -> None:
    data, own = dump_session(session), memories_of(tiny_model.identity)
    assert made_with(data, own)
    assert not made_with(data, {**own, key: value})
    assert made_with(data, {"model": own["model"], "weights": own["weights"]})  # what an older function says of itself


def test_digests_can_be_exchanged(session: Session, tiny_model: Model, clip: Frames) -> None:
    advance(session, 99)
    data, frame = dump_session(session), session.interacted[0]
    other = with_digests(data, {frame: "0" * 32})
    with pytest.raises(StateError, match=f"frame {frame} of the video is not the one that was annotated"):
        parse_session(other, tiny_model, clip)
    assert with_digests(other, {frame: session.frame_digest(frame)}) == data
