"""From log-probabilities to what an answer says: the likeliest classes and the entropy."""

from collections.abc import Iterator

from torch import Tensor

_LEAST_LOG = -100.0  # of a probability; exp(-100) is 0 beside the others, and 0 times minus infinity is no number


def likeliest(log_probabilities: Tensor, *, top: int) -> Iterator[tuple[list[float], list[int], float]]:
    """For each of B rows: probabilities and numbers of the likeliest classes, the first first, and the entropy in nats.

    Args:
        log_probabilities: (B, K); top: number of classes, at most K are given.
    """
    p = log_probabilities.exp()  # (B, K)
    entropies = -(p * log_probabilities.clamp(min=_LEAST_LOG)).sum(1)  # (B,)
    values, indices = p.topk(min(top, p.shape[1]), dim=1)  # (B, top)
    for of_row, at, entropy in zip(values.tolist(), indices.tolist(), entropies.tolist(), strict=True):
        yield of_row, at, max(entropy, 0.0) + 0.0  # the sum makes 0 of -0
