"""The learning rate of a stage without schedule, and by how much a phase of the freeze plan changes it."""

from thawline.errors import UserError
from thawline.freezing.bound_plan import BoundPlan
from thawline.freezing.plan import Phase
from thawline.models.backbone import Backbone
from thawline.settings.optim_settings import AUTO_DECAY, OptimSettings

# Of a block to the one above it. He et al. 2022, "Masked Autoencoders", table 9, fine-tune ViT-B, L and H with it; Bao
# et al. 2022, "BEiT", take 0.65 to 0.75. There the head stands above the last block; here it has a rate of its own.
_OF_BLOCKS = 0.75


def layer_decay(bound: BoundPlan, optim: OptimSettings) -> float:
    """`optim.layer_decay`; for `auto` 0.75 where every stage of a pretrained vision transformer trains, 1 elsewhere.

    Adapters, norms and biases alone train at one rate, and so do random weights, which nothing is to be kept of.
    """
    if optim.layer_decay != AUTO_DECAY:
        return float(optim.layer_decay)
    backbone = bound.backbone
    every = bound.plan.parameters == "all" and len(bound.ever_training()) == backbone.num_stages
    return _OF_BLOCKS if every and backbone.pretrained and _stages_are_blocks(backbone) else 1.0


def _stages_are_blocks(backbone: Backbone) -> bool:
    """Whether tokens (N, C) go from stage to stage, as in ViT, DeiT, BEiT, EVA, DINOv2, Hiera; not Swin, ConvNeXt."""
    between = backbone.stages[:-1]
    return bool(between) and all(len(stage.out_shape) == 2 for stage in between)


def stage_lr(index: int, bound: BoundPlan, optim: OptimSettings) -> float:
    """The learning rate of stage `index` without schedule and phase."""
    return optim.resolved_backbone_lr * layer_decay(bound, optim) ** (bound.plan.num_stages - 1 - index)


def phase_factor(group: str, phase: Phase, optim: OptimSettings) -> float:
    """By how much a phase of the freeze plan changes a group's own rate."""
    wanted, base = (phase.lr, optim.lr) if group == "head" else (phase.backbone_lr, optim.resolved_backbone_lr)
    if wanted is None:
        return 1.0
    if base == 0.0:
        key = "optim.lr" if group == "head" else "optim.backbone_lr"
        raise UserError(f"{key}=0: a phase of the freeze plan sets {wanted:g} in its place; give {key} a rate above 0")
    return wanted / base
