"""The optimizer that solves for a head on stored features, by the kind of head."""

from dataclasses import dataclass

from torch import nn

from thawline.features.left_out import Targets
from thawline.features.readout import Readout
from thawline.features.stored_dataset import StoredRows
from thawline.models.heads import LinearHead
from thawline.models.stacked_head import StackedHead
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.select_setting import AUTO
from thawline.training.head_solver import HeadSolver
from thawline.training.stack_solver import StackRows, StackSolver
from thawline.training.stack_sums import StackSums


@dataclass(frozen=True)
class Aim:
    """What is solved for.

    Attributes:
        balanced: Whether all classes weigh the same, and not all images.
        select: Which probes of a stack are best, one of `SELECT`.
    """

    balanced: bool = False
    select: str = AUTO


def make_solver(
    head: nn.Module, rows: StoredRows | StackSums, *, optim: OptimSettings, readout: Readout | None, aim: Aim
) -> HeadSolver | StackSolver:
    """Args:
    rows: Of the training images.
    """
    if isinstance(rows, StackSums):
        assert isinstance(head, StackedHead), type(head)
        return StackSolver(head, rows)
    if isinstance(head, StackedHead):
        assert readout is not None, "a stacked head reads several stages"
        return StackSolver(head, stack_rows(rows, num_classes=head.biases.shape[1], aim=aim, readout=readout))
    assert isinstance(head, LinearHead), type(head)
    assert optim.penalties is not None, optim.name
    alike = rows.weights is None and not aim.balanced
    weights = None if alike else targets_of(rows, num_classes=len(head.bias), aim=aim).weights
    return HeadSolver(head, rows.rows, rows.labels, penalties=optim.penalties, weights=weights)


def targets_of(rows: StoredRows, *, num_classes: int, aim: Aim) -> Targets:
    """Targets of stored rows."""
    return Targets(rows.labels, num_classes, rows.groups, aim.balanced, rows.weights)


def stack_rows(rows: StoredRows, *, num_classes: int, aim: Aim, readout: Readout) -> StackRows:
    """Stored rows for a stacked head."""
    return StackRows(readout, rows.rows, targets_of(rows, num_classes=num_classes, aim=aim), aim.select)
