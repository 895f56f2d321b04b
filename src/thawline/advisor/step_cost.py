"""Time and memory of one training step on this machine."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from thawline.freezing.bound_plan import bind
from thawline.machine.device_memory import lack_of_memory_explained
from thawline.machine.number_formats import Precision, autocast
from thawline.models.backbone import Backbone
from thawline.models.depthwise import Fp32DepthwiseBackward
from thawline.models.heads import LinearHead
from thawline.models.saved_bytes import count_saved_bytes
from thawline.settings.strategy_settings import StrategySettings

# Images of the first step, which counts memory, because a full batch may need too much. Chosen, not measured.
_FEW = 4
_MAX_TIMED = 5  # steps; chosen, with the next: a small fraction of the minute that advice may take
_TIMED_S = 0.5  # no further step is timed after so many seconds
# Ratio of peak memory to the bytes kept for the backward pass. Measured: full fine-tuning of EfficientNet-Lite0 at 224
# keeps 1.28 GB, and the process peaks 2.7 GB higher than before: gradients of activations, copies in another type.
_PER_SAVED = 2
_ADAM_MOMENTS = 2  # numbers that AdamW keeps for each parameter
SMALLER = "choose a smaller model.name or model.image_size, or trainer.accelerator=cpu"


@dataclass(frozen=True)
class StepCost:
    """Cost of one training step on stored activations.

    Attributes:
        image_s: Seconds per image, forward and backward.
        saved_bytes: Bytes per image that are kept for the backward pass.
        trained_bytes: Bytes of the parameters that train.
    """

    image_s: float
    saved_bytes: int
    trained_bytes: int

    def memory_bytes(self, batch_size: int) -> int:
        """Memory besides the model: activations and their gradients, gradients of parameters, AdamW's moments."""
        return _PER_SAVED * self.saved_bytes * batch_size + (1 + _ADAM_MOMENTS) * self.trained_bytes


def step_cost(
    backbone: Backbone,
    depth: int,
    images: Tensor,
    *,
    num_classes: int,
    precision: Precision,
    max_bytes: float = math.inf,
) -> StepCost:
    """Time a step that trains the last `depth` stages of a copy, on images (B, 3, S, S), uint8, on its device.

    Args:
        max_bytes: If `StepCost.memory_bytes` of the batch is larger, only a few images are timed.
    Raises:
        UserError: The device has too little memory.
    """
    with lack_of_memory_explained(batches_of(backbone, len(images)), images.device, next_step=SMALLER):
        return _measured(backbone, depth, images, num_classes=num_classes, precision=precision, max_bytes=max_bytes)


def batches_of(backbone: Backbone, batch_size: int) -> str:
    """What needs the memory, for a message."""
    return f"{backbone.name} at {backbone.input.size} pixels in batches of {batch_size}"


def _measured(
    backbone: Backbone, depth: int, images: Tensor, *, num_classes: int, precision: Precision, max_bytes: float
) -> StepCost:
    backbone = copy.deepcopy(backbone)
    cut = backbone.num_stages - depth
    head = LinearHead(backbone.num_features, num_classes).to(images.device)
    bound = bind(StrategySettings("step", unfreeze_depth=depth), backbone, head)
    bound.apply(0)
    backbone.train()
    with torch.no_grad():
        x = backbone.prefix(backbone.normalize(images), cut)

    def step(rows: Tensor) -> None:
        with autocast(precision.training, images.device), Fp32DepthwiseBackward():
            features = backbone.suffix(rows, cut)
        labels = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
        F.cross_entropy(head(features.float()), labels).backward()  # type: ignore[no-untyped-call]
        if images.device.type != "cpu":
            torch.accelerator.synchronize()

    few = x[:_FEW]
    with count_saved_bytes((*backbone.parameters(), *head.parameters())) as saved:
        step(few)
    trained = sum(p.numel() * p.element_size() for p in bound.ever_trainable().values())
    cost = StepCost(math.nan, saved[0] // len(few), trained)
    timed = x if cost.memory_bytes(len(x)) <= max_bytes else few
    step(timed)  # not timed, because the first step of a size takes longer
    return replace(cost, image_s=shortest(lambda: step(timed)) / len(timed))


def shortest(step: Callable[[], None]) -> float:
    """Seconds of the fastest of a few steps; the others may be slowed down by other work."""
    seconds: list[float] = []
    while len(seconds) < _MAX_TIMED and sum(seconds) < _TIMED_S:
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
