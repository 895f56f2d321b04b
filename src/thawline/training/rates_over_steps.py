"""The learning rate of every group over a run: its own, times its phase's, times the schedule's."""

from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from thawline.freezing.plan import FreezePlan
from thawline.settings.optim_settings import OptimSettings
from thawline.training.param_groups import NO_DECAY
from thawline.training.schedule import lr_factor, position
from thawline.training.stage_rates import phase_factor
from thawline.training.steps import Steps


class GroupRates:
    """Rates of the groups that `build_param_groups` made.

    Raises:
        UserError: A phase of the plan sets a rate that cannot be reached.
    """

    def __init__(self, plan: FreezePlan, optim: OptimSettings, steps: Steps) -> None:
        self.plan = plan
        self.optim = optim
        self.steps = steps
        for phase in plan.phases:
            for group in ("head", "backbone"):
                phase_factor(group, phase, optim)  # told before training

    def factor(self, group: str, step: int) -> float:
        """Factor on a group's own learning rate at optimizer step `step`: its phase's times the schedule's."""
        optim, per_epoch = self.optim, self.steps.per_epoch
        starts = [epoch * per_epoch for epoch in self.plan.changes] if optim.restart_at_thaw else []
        within, length = position(step, total_steps=self.steps.total, starts=starts)
        scheduled = lr_factor(
            within, schedule=optim.schedule, total_steps=length, warmup_fraction=optim.warmup_fraction
        )
        return scheduled * self._of_phase(group, step // per_epoch)

    def scheduled(self, optimizer: Optimizer) -> dict[str, Any]:
        """The optimizer with its scheduler, as `configure_optimizers` returns them."""
        if self.optim.schedule != "plateau":
            scheduler = LambdaLR(optimizer, [partial(self.factor, group["name"]) for group in optimizer.param_groups])
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
        for group in optimizer.param_groups:
            group["lr"] *= self._of_phase(group["name"], 0)
        factor, patience = self.optim.plateau_factor, self.optim.plateau_patience
        plateau = ReduceLROnPlateau(optimizer, mode="min", factor=factor, patience=patience)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": plateau, "interval": "epoch", "monitor": "val/loss"},
        }

    def begin_epoch(self, epoch: int, scheduler: Any) -> None:
        """Under `plateau`, where no function of the step sets the rates, a new phase does."""
        if self.optim.schedule != "plateau" or epoch not in self.plan.changes:
            return
        assert isinstance(scheduler, ReduceLROnPlateau)
        for group in scheduler.optimizer.param_groups:
            now, before = (self._of_phase(group["name"], e) for e in (epoch, epoch - 1))
            anew = self.optim.restart_at_thaw or before == 0.0
            group["lr"] = group["base_lr"] * now if anew else group["lr"] * now / before
        if self.optim.restart_at_thaw:
            scheduler._reset()

    def _of_phase(self, group: str, epoch: int) -> float:
        return phase_factor(group.removesuffix(NO_DECAY), self.plan.phase(epoch), self.optim)
