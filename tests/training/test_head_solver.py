"""The solver's steps follow the penalties, and a checkpoint holds how far it got."""

import pytest
import torch
import torch.nn.functional as F

from thawline.features.logistic_probe import fit_logistic
from thawline.features.standardized import standardize
from thawline.features.stored_dataset import StoredRows
from thawline.models.heads import LinearHead
from thawline.settings.optim_settings import OptimSettings
from thawline.training.head_solver import HeadSolver
from thawline.training.make_solver import Aim, make_solver

FEATURES = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(30) % 3


def made() -> tuple[LinearHead, HeadSolver]:
    head = LinearHead(4, 3)
    return head, HeadSolver(head, FEATURES, LABELS, penalties=[1.0, 0.1])


def step(head: LinearHead, solver: HeadSolver) -> float:
    def closure() -> float:
        loss = F.cross_entropy(head(FEATURES), LABELS)
        loss.backward()
        return float(loss.detach())

    return solver.step(closure)


def test_every_step_solves_for_the_next_penalty() -> None:
    head, solver = made()
    losses = []
    for penalty in (1.0, 0.1):
        assert solver.penalty == penalty
        losses.append(step(head, solver))
        weight, _ = fit_logistic(standardize(FEATURES), LABELS, num_classes=3, penalty=penalty)
        torch.testing.assert_close(head.weight.detach(), weight, atol=1e-3, rtol=1e-3)
    assert losses[1] < losses[0] < float(torch.tensor(3.0).log())
    with pytest.raises(AssertionError):
        step(head, solver)


def test_from_a_checkpoint_it_goes_on_with_the_same_bits() -> None:
    head, solver = made()
    step(head, solver)
    other, resumed = made()
    other.load_state_dict(head.state_dict())
    resumed.load_state_dict(solver.state_dict())
    assert resumed.penalty == 0.1
    for h, s in ((head, solver), (other, resumed)):
        step(h, s)
    assert torch.equal(head.weight, other.weight)
    assert torch.equal(head.bias, other.bias)


@pytest.mark.parametrize("balanced", [False, True])
def test_rows_count_as_their_weights_say(balanced: bool) -> None:
    given = torch.linspace(0.2, 4.0, 30, dtype=torch.float64)
    optim = OptimSettings(name="lbfgs", penalties=(0.1,))
    head, rows = LinearHead(4, 3), StoredRows(FEATURES, LABELS, torch.arange(30), given)
    solver = make_solver(head, rows, optim=optim, readout=None, aim=Aim(balanced))
    assert isinstance(solver, HeadSolver)
    step(head, solver)
    of_class = torch.zeros(3, dtype=torch.float64).index_add(0, LABELS, given)[LABELS] if balanced else 1.0
    weights = given / of_class
    weights = weights * 30 / weights.sum()
    weight, _ = fit_logistic(standardize(FEATURES), LABELS, num_classes=3, penalty=0.1, weights=weights)
    torch.testing.assert_close(head.weight.detach(), weight, atol=1e-3, rtol=1e-3)
