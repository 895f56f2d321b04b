"""Shares by a score that has no slope, against small cases worked out by hand."""

import torch

from thawline.features.greedy_shares import greedy_shares
from thawline.features.left_out import Targets

LABELS = torch.tensor([0, 0, 0, 1])
COMMON = torch.tensor([[0.9, 0.1]] * 3 + [[0.6, 0.4]])  # accuracy 0.75, balanced 0.5
RARE = torch.tensor([[0.4, 0.6], [0.9, 0.1], [0.4, 0.6], [0.1, 0.9]])  # accuracy 0.5, balanced 2/3


def test_the_score_says_who_counts() -> None:
    targets = Targets.of(LABELS, num_classes=2)
    useless = torch.full((4, 2), 0.5)
    # Together they are right everywhere, which neither is alone: (0.65, 0.35) three times or better, then (0.35, 0.65).
    shares = greedy_shares(torch.stack([COMMON, RARE, useless]), targets, by="balanced_accuracy")
    torch.testing.assert_close(float(shares.sum()), 1.0)
    assert shares[2] == shares.min() > 0
    average = torch.einsum("m,mnk->nk", shares.float(), torch.stack([COMMON, RARE, useless]))
    assert average.argmax(1).tolist() == LABELS.tolist()


def test_of_equal_scores_the_lower_loss_wins() -> None:
    sure, unsure = torch.tensor([[0.9, 0.1]] * 3 + [[0.1, 0.9]]), torch.tensor([[0.6, 0.4]] * 3 + [[0.4, 0.6]])
    shares = greedy_shares(torch.stack([unsure, sure]), Targets.of(LABELS, num_classes=2), by="accuracy")
    assert shares.tolist() == [0.25, 0.75]  # the best after one round: (0 + 1/2) / 2 and (1 + 1/2) / 2
