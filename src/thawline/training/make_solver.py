"""The optimizer that solves for a head on stored features, by the kind of head."""

from torch import nn

from thawline.features.left_out import Targets
from thawline.features.readout import Readout
from thawline.features.stored_dataset import StoredRows
from thawline.models.heads import LinearHead
from thawline.models.stacked_head import StackedHead
from thawline.settings.optim_settings import OptimSettings
from thawline.training.head_solver import HeadSolver
from thawline.training.stack_solver import StackRows, StackSolver


def make_solver(
    head: nn.Module, rows: StoredRows, *, optim: OptimSettings, readout: Readout | None
) -> HeadSolver | StackSolver:
    """Args:
    rows: Of the training images.
    """
    if isinstance(head, StackedHead):
        assert readout is not None, "a stacked head reads several stages"
        return StackSolver(head, stack_rows(rows, num_classes=head.biases.shape[1], optim=optim, readout=readout))
    assert isinstance(head, LinearHead), type(head)
    assert optim.penalties is not None, optim.name
    return HeadSolver(head, rows.rows, rows.labels, penalties=optim.penalties)


def stack_rows(rows: StoredRows, *, num_classes: int, optim: OptimSettings, readout: Readout) -> StackRows:
    """Stored rows for a stacked head."""
    targets = Targets(rows.labels, num_classes, rows.groups, balanced=optim.balanced)
    return StackRows(readout, rows.rows, targets)
