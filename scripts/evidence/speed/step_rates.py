"""Training steps of EfficientNet-Lite0 by depth and arithmetic, timed here: python -m speed.step_rates --help."""

import argparse
import json
import statistics
import time
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor

from speed.modes import ALLOCATORS, DEPTHS, MODES
from thawline.freezing.bound_plan import bind
from thawline.machine.memory import keep_freed_memory
from thawline.machine.number_formats import Precision, autocast
from thawline.models.backbone import build_backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.fused import fuse
from thawline.models.heads import LinearHead
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier
from thawline.training.steps import Steps

Batch = tuple[Tensor, Tensor]  # uint8 images (B, 3, S, S), class indices (B,)
_NUM_CLASSES = 4
_LR = 1e-5


def measure(*, batch: int, num_steps: int, size: int) -> dict[str, float]:
    """Training images per second: `DEPTH/MODE` -> median over steps, the first step left out."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    backbone = build_backbone("tf_efficientnet_lite0", weights="none", image_size=size)
    images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, device=device)
    labels = torch.randint(0, _NUM_CLASSES, (batch,), device=device)
    rates = {}
    for depth in DEPTHS:
        bound = bind(
            StrategySettings("benchmark", unfreeze_depth=depth),
            backbone,
            LinearHead(backbone.num_features, _NUM_CLASSES),
        )
        bound.apply(0)
        steps = Steps(batches=100, per_epoch=100, total=100, epochs=1, validate_every=1.0)
        model = TransferClassifier(bound, num_classes=_NUM_CLASSES, optim=OptimSettings(), steps=steps)
        model.to(device).train()
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=_LR)
        for name, mode in MODES.items():
            dtype = torch.bfloat16 if mode.bf16_prefix else torch.float32
            fusable = mode.bf16_prefix and device.type == "cpu"
            fused = fuse(backbone, backbone.num_stages - depth) if fusable else None
            model.prefix = FrozenPrefix(backbone, dtype=dtype, fused=fused)
            seconds = [_step_s(model, optimizer, (images, labels), mode.training) for _ in range(num_steps + 1)]
            rates[f"{depth}/{name}"] = round(batch / statistics.median(seconds[1:]), 1)
    return rates


def _step_s(model: TransferClassifier, optimizer: torch.optim.Optimizer, batch: Batch, training: str) -> float:
    """Seconds of forward, backward and step."""
    images, labels = batch
    assert isinstance(images, torch.Tensor)
    start = time.perf_counter()
    with arithmetic(training, images.device):
        loss = F.cross_entropy(model(images).float(), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad()
    if images.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def arithmetic(training: str, device: torch.device) -> AbstractContextManager[object]:
    """The forward pass of what trains, in `training`'s arithmetic."""
    return autocast(Precision(training).training, device)


def main() -> None:
    """Measure under one of the allocator's settings, and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--allocator", choices=list(ALLOCATORS), required=True)
    for name in ("batch", "steps", "image-size"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    if given.allocator == "keep":
        assert keep_freed_memory()
    print(json.dumps(measure(batch=given.batch, num_steps=given.steps, size=given.image_size)))


if __name__ == "__main__":
    main()
