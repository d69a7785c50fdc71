"""The loss looks at present tags only and is zero for a perfect answer."""

import pytest
import torch
import torch.nn.functional as F

from siaf.model.losses import bootstrapped_cross_entropy, segmentation_loss, soft_jaccard
from siaf.training.propagation import shuffle_tags

LABELS = torch.tensor([[[0, 0, 3], [0, 3, 3]]])
PRESENT = torch.zeros(1, 11, dtype=torch.bool)
PRESENT[0, [0, 3]] = True
PERFECT = F.one_hot(LABELS, 11).permute(0, 3, 1, 2).float() * 40


def test_a_perfect_answer_costs_nothing() -> None:
    assert segmentation_loss(PERFECT, LABELS, PRESENT, kept=1.0).item() == pytest.approx(0, abs=1e-4)


def test_absent_tags_do_not_count_whatever_their_logits() -> None:
    wild = PERFECT.clone()
    wild[:, 7] = 1000
    assert segmentation_loss(wild, LABELS, PRESENT, kept=1.0).item() == pytest.approx(0, abs=1e-4)


def test_bootstrapping_keeps_the_hardest_pixels() -> None:
    logits = PERFECT.clone()
    logits[0, :, 0, 0] = 0  # one undecided pixel: cross-entropy log 11 there
    hardest = bootstrapped_cross_entropy(logits, LABELS, kept=1 / 6)
    assert hardest.item() == pytest.approx(torch.log(torch.tensor(11.0)).item(), rel=1e-4)
    assert bootstrapped_cross_entropy(logits, LABELS, kept=1.0).item() == pytest.approx(hardest.item() / 6, rel=1e-4)


def test_jaccard_of_a_wholly_wrong_object_is_one_half_over_two_tags() -> None:
    wrong = F.one_hot(torch.zeros_like(LABELS), 11).permute(0, 3, 1, 2).float() * 40
    # background: 3 of 6 pixels right, J = 1/2; object: J = 0
    assert soft_jaccard(wrong, LABELS, PRESENT).item() == pytest.approx(1 - (0.5 + 0) / 2, abs=5e-3)


def test_tags_are_shuffled_but_background_stays() -> None:
    tables = shuffle_tags(torch.zeros(50, 2, 2), torch.Generator().manual_seed(0))
    assert (tables[:, 0] == 0).all()
    assert all(sorted(row[1:].tolist()) == list(range(1, 11)) for row in tables)
    assert len(set(tables[:, 1].tolist())) == 10
