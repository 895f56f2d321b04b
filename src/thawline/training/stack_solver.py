"""StackSolver: an optimizer whose one step solves for the probes of a stacked head."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from thawline.features.left_out import Targets
from thawline.features.readout import Readout
from thawline.features.stack import Stack, refit_stack, solve_stack
from thawline.machine.collectives import computed_by_first
from thawline.models.stacked_head import StackedHead
from thawline.settings.select_setting import AUTO
from thawline.training.stack_sums import StackSums

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StackRows:
    """Stored rows of a split: features (N, D) as `readout` lays them out, and their classes.

    Attributes:
        select: By which score probes are best; see `solve_stack`.
    """

    readout: Readout
    features: Tensor
    targets: Targets
    select: str = AUTO

    @property
    def num_groups(self) -> int:
        """Number of distinct images."""
        return len(torch.unique(self.targets.groups))

    @property
    def num_left_out(self) -> int:
        """Number of distinct images that are scored by fits without them: all."""
        return self.num_groups

    @property
    def left_out_by(self) -> str:
        """How they are left out."""
        return "leave-one-out"

    def accuracy_of(self, stack: Stack) -> float:
        """Of a stack of other rows on these."""
        guesses = stack.predict(self.readout.split(self.features)).argmax(1)
        return float((guesses == self.targets.labels).double().mean())

    def with_others(self, others: "StackRows") -> "StackRows":
        """These and others, as rows of one split."""
        return StackRows(
            self.readout,
            torch.cat([self.features, others.features]),
            self.targets.with_others(others.targets),
            self.select,
        )

    def refitted(self, stack: Stack) -> Stack:
        """A stack of other rows, with its probes fitted on these."""
        return refit_stack(stack, self.readout.split(self.features), self.targets)

    def solved(self, *, judges: "StackRows | None" = None) -> Stack:
        """The stack of these rows; `judges` are rows that set what is free, by default every row that is left out."""
        others = None if judges is None else (judges.readout.split(judges.features), judges.targets)
        return solve_stack(self.readout.split(self.features), self.targets, others=others, select=self.select)


def load_stack(head: StackedHead, stack: Stack) -> None:
    """Make `head` the average of the stack's probes."""
    head.set(stack.scaled(), [setting.share for setting in stack.settings])


class StackSolver(torch.optim.Optimizer):
    """Its one group, `head`, has no learning rate; it holds the accuracy on rows that were left out, once it is solved.

    Args:
        rows: Those of the training split.
    """

    def __init__(self, head: StackedHead, rows: StackRows | StackSums) -> None:
        super().__init__([{"params": list(head.parameters()), "name": "head", "left_out_accuracy": None}], {})
        self.head = head
        self.rows = rows

    @property
    def left_out_accuracy(self) -> float | None:
        accuracy: float | None = self.param_groups[0]["left_out_accuracy"]
        return accuracy

    @torch.no_grad()
    def step(self, closure: Callable[[], float]) -> float:  # type: ignore[override]
        """Solve, in the first process for all; then evaluate: `closure` returns the loss at the solution."""
        solution, accuracy = computed_by_first(self._solve)
        for parameter, solved in zip(self.head.parameters(), solution, strict=True):
            parameter.copy_(solved)
        self.param_groups[0]["left_out_accuracy"] = accuracy
        with torch.enable_grad():
            return closure()

    def _solve(self) -> tuple[list[Tensor], float]:
        _log.info("Solving for the probes of %s images.", f"{self.rows.num_groups:,}")
        stack = self.rows.solved()
        load_stack(self.head, stack)
        return [parameter.detach().to("cpu", copy=True) for parameter in self.head.parameters()], stack.accuracy
