"""How much each of several classifiers counts in their average, by a score that has no slope: greedy selection."""

import math

import torch
from torch import Tensor

from thawline.features.guess_scores import guess_scores
from thawline.features.left_out import Targets

_ROUNDS = 20  # chosen: shares in steps of a twentieth; Caruana et al. 2004 gain little after as many
_ROUNDING = 1e-6  # nats; a later round that is better by less is not
_LEAST = torch.finfo(torch.float32).tiny  # probability, of which there is a logarithm


def greedy_shares(judged: Tensor, targets: Targets, *, by: str) -> Tensor:
    """Shares (M,), float64, above 0, sum 1, of M classifiers.

    In each round the classifier joins, or counts once more, with which the average scores best; of equals the one with
    the lowest log loss. The best round counts. One round is added in which all count alike: so no share is 0.

    Args:
        judged: Probabilities that each gives rows that it was not fitted on, (M, N, K).
        by: Field of `GuessScores`.
    Source: Caruana et al. 2004, "Ensemble Selection from Libraries of Models".
    """
    num_parts = len(judged)
    counts, together = torch.zeros(num_parts, dtype=torch.float64), torch.zeros_like(judged[0])
    best, kept = (-1.0, -math.inf), counts
    for number in range(1, _ROUNDS + 1):
        scored = [worth((together + part) / number, targets, by=by) for part in judged]
        joins = max(range(num_parts), key=lambda index: scored[index])
        counts[joins] += 1
        together = together + judged[joins]
        score, minus_loss = scored[joins]
        if (score, minus_loss - _ROUNDING) > best:
            best, kept = scored[joins], counts.clone()
    return (kept + 1.0 / num_parts) / (kept.sum() + 1.0)


def worth(probabilities: Tensor, targets: Targets, *, by: str | None) -> tuple[float, float]:
    """How good probabilities (N, K) are: the score `by`, 0 where it is None; then minus their log loss."""
    right = probabilities.gather(1, targets.labels[:, None])[:, 0].double()
    loss = float(-(targets.weights * right.clamp_min(_LEAST).log()).mean())
    if by is None:
        return 0.0, -loss
    scores = guess_scores(probabilities.argmax(1), targets.labels, num_classes=targets.num_classes)
    return float(getattr(scores, by)), -loss
