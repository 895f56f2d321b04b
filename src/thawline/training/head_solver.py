"""HeadSolver: an optimizer whose step solves for the linear head, one penalty after the other."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from thawline.features.logistic_probe import fit_logistic
from thawline.features.standardized import standardize
from thawline.machine.collectives import computed_by_first
from thawline.models.heads import LinearHead


class HeadSolver(torch.optim.Optimizer):
    """Step i makes the head the logistic regression with `penalties[i]`, and starts where step i - 1 ended.

    It has one group, named `head`, without a learning rate. How many penalties are done is in the group, so a
    checkpoint holds it; where the next search starts is the head itself.

    Args:
        features, labels: All training rows, (N, D) and (N,).
        penalties: From strong to weak: that way every start is near its end.
        weights: Of the rows, (N,), float64, mean 1; None weighs all alike.
    """

    def __init__(
        self,
        head: LinearHead,
        features: Tensor,
        labels: Tensor,
        *,
        penalties: Sequence[float],
        weights: Tensor | None = None,
    ) -> None:
        super().__init__([{"params": [head.weight, head.bias], "name": "head", "num_done": 0}], {})
        self.rows = standardize(features)
        self.labels, self.weights = labels, weights
        self.penalties = tuple(penalties)

    @property
    def penalty(self) -> float:
        """Of the next step, or of the last one where all are done."""
        done = int(self.param_groups[0]["num_done"])
        return self.penalties[min(done, len(self.penalties) - 1)]

    @torch.no_grad()
    def step(self, closure: Callable[[], float]) -> float:  # type: ignore[override]
        """Solve, in the first process for all; then evaluate: `closure` returns the loss at the solution."""
        (group,) = self.param_groups
        assert group["num_done"] < len(self.penalties), group["num_done"]
        head = group["params"]
        num_classes = len(head[1])
        solution = computed_by_first(
            lambda: fit_logistic(
                self.rows, self.labels, num_classes=num_classes, penalty=self.penalty, start=(head[0], head[1]),
                weights=self.weights,
            )
        )  # fmt: skip
        for parameter, solved in zip(head, solution, strict=True):
            parameter.copy_(solved)
        group["num_done"] += 1
        with torch.enable_grad():
            return closure()
