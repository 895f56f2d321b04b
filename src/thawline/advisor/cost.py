"""What an option would cost on this machine: one training step of it, timed; its memory, counted."""

import copy
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from thawline.advisor.options import Option
from thawline.models.backbone import Backbone
from thawline.models.depthwise import Fp32DepthwiseBackward
from thawline.models.freezing import bind
from thawline.models.heads import LinearHead
from thawline.models.saved_bytes import count_saved_bytes
from thawline.precision import Precision
from thawline.settings import StrategySettings

_TIMED_STEPS = 1  # chosen, not measured: after one that is not timed
# Peak memory over what is kept for the backward pass. Measured: full fine-tuning of EfficientNet-Lite0 at 224 keeps
# 1.28 GB and peaks 2.7 GB above what the process held before: gradients of activations, copies in another type.
_PER_SAVED = 2
_ADAM_MOMENTS = 2  # numbers that AdamW keeps for each parameter


@dataclass(frozen=True)
class StepCost:
    """Of one training step on a batch whose frozen prefix is stored.

    Attributes:
        seconds: Forward and backward.
        saved_bytes: Kept for the backward pass.
        trained_bytes: Of the parameters that train.
    """

    seconds: float
    saved_bytes: int
    trained_bytes: int

    @property
    def memory_bytes(self) -> int:
        """On top of the model: what is kept for the backward pass and its gradients, the optimizer's moments."""
        return _PER_SAVED * self.saved_bytes + (1 + _ADAM_MOMENTS) * self.trained_bytes


def step_cost(
    backbone: Backbone, option: Option, images: Tensor, *, num_classes: int, precision: Precision
) -> StepCost:
    """Time a step of `option` on images (B, 3, S, S), uint8, on the backbone's device; nothing of it is kept."""
    backbone = copy.deepcopy(backbone)
    cut = option.num_frozen(backbone.num_stages)
    strategy = StrategySettings(option.strategy, unfreeze_depth=backbone.num_stages - cut)
    head = LinearHead(backbone.num_features, num_classes).to(images.device)
    bound = bind(strategy, backbone, head)
    bound.apply(0)
    backbone.train()
    with torch.no_grad():
        x = backbone.prefix(backbone.normalize(images), cut)
    labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    low = precision.trainer != "32-true"

    def step() -> None:
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=low), Fp32DepthwiseBackward():
            features = backbone.suffix(x, cut)
        F.cross_entropy(head(features.float()), labels).backward()  # type: ignore[no-untyped-call]
        if images.device.type == "cuda":
            torch.cuda.synchronize()

    with count_saved_bytes((*backbone.parameters(), *head.parameters())) as saved:
        step()
    start = time.perf_counter()
    for _ in range(_TIMED_STEPS):
        step()
    seconds = (time.perf_counter() - start) / _TIMED_STEPS
    trained = sum(p.numel() * p.element_size() for p in bound.ever_trainable().values())
    return StepCost(seconds, saved[0], trained)
