"""Similarity to strokes: high where features are alike, in the stroke's own frame and across frames."""

import torch

from siaf.model.similarity import StrokeSimilarity


def similarity(strokes: torch.Tensor, tags: torch.Tensor, frames: int) -> torch.Tensor:
    """Of frames whose left half looks one way and whose right half another; 8×8 cells of stride 8."""
    net = StrokeSimilarity(fine=4, deep=4, dim=4)
    with torch.no_grad():
        for layer in (net.fine, net.deep):
            layer.weight.copy_(torch.eye(4)[:, :, None, None])
            layer.bias.zero_()  # type: ignore[union-attr]
        fine = torch.zeros(len(strokes), 4, 8, 8)
        fine[:, 0, :, :4] = 1
        fine[:, 1, :, 4:] = 1
        out: torch.Tensor = net(fine, torch.zeros(len(strokes), 4, 4, 4), strokes, tags, frames)
    return out


def test_what_looks_like_the_stroke_is_alike() -> None:
    strokes = torch.full((1, 64, 64), -1)
    strokes[0, 10:14, 5:20] = 3
    found = similarity(strokes, torch.tensor([[0, 3]]), frames=1)
    assert found.shape == (1, 2, 2, 8, 8)
    assert torch.equal(found[0, 1, 0, :, :4], torch.ones(8, 4)) and torch.equal(
        found[0, 1, 0, :, 4:], torch.zeros(8, 4)
    )
    assert torch.equal(found[0, 1, 0], found[0, 1, 1])  # one frame: its own strokes are all strokes
    assert not found[0, 0].any()  # nothing drawn for this tag


def test_a_stroke_on_another_frame_of_the_clip_counts_across_frames_only() -> None:
    strokes = torch.full((4, 64, 64), -1)
    strokes[0, 10:14, 5:20] = 3  # frames 0 and 1 are one clip, 2 and 3 another
    found = similarity(strokes, torch.tensor([[3]] * 4), frames=2)
    assert not found[1, 0, 0].any() and found[1, 0, 1, :, :4].eq(1).all()
    assert not found[2:].any()


def test_the_most_similar_of_several_strokes_counts() -> None:
    strokes = torch.full((1, 64, 64), -1)
    strokes[0, 10:14, 5:20] = 3
    strokes[0, 10:14, 45:60] = 3
    assert similarity(strokes, torch.tensor([[3]]), frames=1).eq(1).all()
