"""The learning rate of a stage without schedule, and by how much a phase of the freeze plan changes it."""

from thawline.errors import UserError
from thawline.freezing.bound_plan import BoundPlan
from thawline.freezing.plan import Phase
from thawline.settings.optim_settings import OptimSettings


def stage_lr(index: int, bound: BoundPlan, optim: OptimSettings) -> float:
    """The learning rate of stage `index` without schedule and phase."""
    return optim.resolved_backbone_lr * optim.layer_decay ** (bound.plan.num_stages - 1 - index)


def phase_factor(group: str, phase: Phase, optim: OptimSettings) -> float:
    """By how much a phase of the freeze plan changes a group's own rate."""
    wanted, base = (phase.lr, optim.lr) if group == "head" else (phase.backbone_lr, optim.resolved_backbone_lr)
    if wanted is None:
        return 1.0
    if base == 0.0:
        key = "optim.lr" if group == "head" else "optim.backbone_lr"
        raise UserError(f"{key}=0: a phase of the freeze plan sets {wanted:g} in its place; give {key} a rate above 0")
    return wanted / base
