"""The rate of every group under a plan whose phases set rates of their own, by hand."""

from typing import Any

import pytest
import torch
from torch import nn

from thawline.errors import UserError
from thawline.freezing.plan import make_plan
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.rates_over_steps import GroupRates
from thawline.training.steps import Steps

RATES = {"head": 0.1, "head/no_decay": 0.1, "layer4": 0.01}
PHASES = [
    {"from_epoch": 0, "stages": ["head", -1], "lr": 0.05},
    {"from_epoch": 1, "stages": ["head", -1], "lr": 0.02, "backbone_lr": 0.002},
    {"from_epoch": 2, "stages": ["head", -1], "lr": 0.0},
    {"from_epoch": 3, "stages": ["head", -1], "lr": 0.08},
]


def group_rates(**optim: Any) -> GroupRates:
    plan = make_plan(StrategySettings("test", phases=PHASES), stage_names=("layer3", "layer4"), model_name="test")
    settings = OptimSettings(**{"lr": 0.1, "backbone_lr": 0.01, "warmup_fraction": 0.0, **optim})
    return GroupRates(plan, settings, Steps(5, 5, 25, 5, 1.0))


def under_plateau(rates: GroupRates) -> tuple[torch.optim.Optimizer, Any]:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "name": n, "lr": lr, "base_lr": lr} for n, lr in RATES.items()]
    optimizer = torch.optim.SGD(groups)
    return optimizer, rates.scheduled(optimizer)["lr_scheduler"]["scheduler"]


def now(optimizer: torch.optim.Optimizer) -> list[float]:
    """Rates of the head's weights, of its biases, and of the stage."""
    return [group["lr"] for group in optimizer.param_groups]


def test_a_phases_rate_holds_from_its_first_step_to_its_last() -> None:
    rates = group_rates(schedule="constant")
    assert [0.1 * rates.factor("head/no_decay", step) for step in (0, 4, 5, 9, 10, 14, 15)] == pytest.approx(
        [0.05, 0.05, 0.02, 0.02, 0.0, 0.0, 0.08]
    )
    assert [0.01 * rates.factor("layer4", step) for step in (4, 5, 10)] == pytest.approx([0.01, 0.002, 0.01])


def test_under_plateau_a_phase_scales_the_reduced_rate() -> None:
    rates = group_rates(schedule="plateau", plateau_factor=0.5, plateau_patience=0)
    optimizer, scheduler = under_plateau(rates)
    assert now(optimizer) == pytest.approx([0.05, 0.05, 0.01])
    scheduler.step(1.0)
    scheduler.step(2.0)  # worse: halves every rate
    assert now(optimizer) == pytest.approx([0.025, 0.025, 0.005])
    rates.begin_epoch(1, scheduler)
    assert now(optimizer) == pytest.approx([0.01, 0.01, 0.001])  # half of 0.02 and of 0.002
    scheduler.step(1.5)  # still worse than the first
    assert now(optimizer) == pytest.approx([0.005, 0.005, 0.0005])
    rates.begin_epoch(2, scheduler)
    assert now(optimizer) == pytest.approx([0.0, 0.0, 0.0025])
    rates.begin_epoch(3, scheduler)
    assert now(optimizer) == pytest.approx([0.08, 0.08, 0.0025])  # from 0 no factor leads up: the phase's own rate
    rates.begin_epoch(4, scheduler)  # no phase begins
    assert now(optimizer) == pytest.approx([0.08, 0.08, 0.0025])


def test_under_plateau_a_restart_forgets_the_reductions_and_the_best_loss() -> None:
    rates = group_rates(schedule="plateau", plateau_factor=0.5, plateau_patience=0, restart_at_thaw=True)
    optimizer, scheduler = under_plateau(rates)
    scheduler.step(1.0)
    scheduler.step(2.0)
    rates.begin_epoch(1, scheduler)
    assert now(optimizer) == pytest.approx([0.02, 0.02, 0.002])
    scheduler.step(1.5)  # the first of the new phase
    assert now(optimizer) == pytest.approx([0.02, 0.02, 0.002])


def test_other_schedules_leave_the_phases_to_the_function_of_the_step() -> None:
    rates = group_rates(schedule="cosine")
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    rates.begin_epoch(1, torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer))
    assert now(optimizer) == [0.1]


def test_a_rate_that_no_factor_reaches_is_told_before_training() -> None:
    with pytest.raises(UserError, match=r"optim\.backbone_lr=0: a phase of the freeze plan sets 0\.002"):
        group_rates(backbone_lr=0.0)
