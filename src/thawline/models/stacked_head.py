"""StackedHead: an average of several linear classifiers, each of a part of the features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Columns = tuple[tuple[int, int], ...]  # (first, one past the last) of the features that a classifier reads


class StackedHead(nn.Module):
    """Features (B, D) -> logits (B, K): the log of the weighted average of the classifiers' probabilities.

    It starts with weights of zero: every class has the same probability.

    Args:
        columns: What each of the M classifiers reads.
    """

    def __init__(self, columns: Sequence[Columns], num_classes: int) -> None:
        super().__init__()
        self.columns = tuple(tuple(spans) for spans in columns)
        widths = [sum(stop - start for start, stop in spans) for spans in self.columns]
        self.weights = nn.ParameterList(torch.zeros(num_classes, width) for width in widths)
        self.biases = nn.Parameter(torch.zeros(len(widths), num_classes))
        self.log_shares = nn.Parameter(torch.full((len(widths),), 1.0 / len(widths)).log())

    def forward(self, features: Tensor) -> Tensor:
        parts = [
            (torch.cat([features[:, start:stop] for start, stop in spans], 1) @ weight.T + bias).log_softmax(1)
            for spans, weight, bias in zip(self.columns, self.weights, self.biases, strict=True)
        ]
        return (torch.stack(parts) + self.log_shares[:, None, None]).logsumexp(0)

    @torch.no_grad()
    def set(self, linears: Sequence[tuple[Tensor, Tensor]], shares: Sequence[float]) -> None:
        """Take the classifiers' weights (K, D_m) and biases (K,), and their shares, above 0."""
        for index, ((weight, bias), share) in enumerate(zip(linears, shares, strict=True)):
            self.weights[index].copy_(weight)
            self.biases[index].copy_(bias)
            self.log_shares[index] = torch.tensor(share).log()
