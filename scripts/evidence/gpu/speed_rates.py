"""Rates in this process, which has the device to itself: python -m gpu.speed_rates --help. A line of JSON each.

Images are random bytes on the device, so that nothing waits for a disk or a decoder. Every number names its batch.
"""

import argparse
import copy
import dataclasses
import functools
import json
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpu.clock import Rate, rate
from gpu.internals import (
    Activations,
    Backbone,
    FrozenPrefix,
    Mode,
    PrefixRunner,
    Tap,
    build_backbone,
    held,
    make_classifier,
    pass_s,
)

_NUM_CLASSES = 12
_DEPTHS = {"feature extraction": 0, "partial fine-tune, last 2 stages": 2, "full fine-tune": None}


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is measured, and for how long each."""

    model: str
    size: int
    batches: tuple[int, ...]
    train_batch: int
    num_pass: int
    seconds: float
    device: torch.device

    def images(self, batch: int) -> Tensor:
        """Random pixels, (B, 3, S, S), uint8."""
        return torch.randint(0, 256, (batch, 3, self.size, self.size), dtype=torch.uint8, device=self.device)

    def backbone(self) -> Backbone:
        return build_backbone(self.model, weights="none", image_size=self.size).to(self.device)

    def plain(self, num_classes: int = 0) -> nn.Module:
        """timm's model in channels-last layout."""
        model: nn.Module = timm.create_model(self.model, num_classes=num_classes)
        return model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def normalised(images: Tensor) -> Tensor:
    """The plain loop's own: float32, channels-last, about -2 to 2."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255).sub_(0.5).div_(0.25)


def forward_rates(setting: Setting) -> Iterator[tuple[str, Rate]]:
    """The frozen model alone: ours from bytes, timm's from images that are normalised already."""
    backbone, plain = setting.backbone().eval(), setting.plain().eval()
    low = setting.plain().eval().bfloat16()
    cut = backbone.num_stages
    for batch in setting.batches:
        images = setting.images(batch)
        floats = normalised(images)
        halves = floats.bfloat16()
        ours = PrefixRunner(backbone, [Tap(cut)], Mode(torch.bfloat16, batch_size=batch))
        exact = PrefixRunner(backbone, [Tap(cut)], Mode(torch.float32, batch_size=batch))

        def amp(floats: Tensor = floats) -> Tensor:
            with torch.autocast(setting.device.type, dtype=_amp_dtype(setting)):
                result: Tensor = plain(floats)
            return result

        name = f"forward, batch {batch}"
        steps: dict[str, Callable[[], object]] = {
            "Thawline, bf16, from bytes": functools.partial(ours, images),
            "Thawline, 32-true, from bytes": functools.partial(exact, images),
            "plain timm, model and images in bf16": functools.partial(low, halves),
            "timm's usual, AMP and channels-last": amp,
        }
        for what, step in steps.items():
            with torch.inference_mode():  # not around what moves the models to the device
                rate = _rate(setting, step, batch)
            yield f"{name}: {what}", rate


def pass_rates(setting: Setting) -> Iterator[tuple[str, Rate]]:
    """The whole pass into an empty cache, from images in memory."""
    backbone = setting.backbone().eval()
    (dataset,) = held(backbone, setting.num_pass)
    with tempfile.TemporaryDirectory() as folder:
        pass_s(dataset, backbone, setting.device, Path(folder))  # the first one warms up
        rate = setting.num_pass / pass_s(dataset, backbone, setting.device, Path(folder))
    yield f"extraction pass over {setting.num_pass:,} images in memory: Thawline", Rate(round(rate, 1), rate, rate)


def training_rates(setting: Setting) -> Iterator[tuple[str, Rate]]:
    """Forward, backward and step of the same stages, ours beside a plain loop under autocast in bf16."""
    batch, backbone = setting.train_batch, setting.backbone()
    images = setting.images(batch)
    labels = torch.randint(0, _NUM_CLASSES, (batch,), device=setting.device)
    for name, depth in _DEPTHS.items():
        yield f"{name}, batch {batch}: plain loop from bytes", _plain_step(setting, backbone, depth, images, labels)
        for stored in (False, True) if depth is not None else (False,):
            origin = "stored activations on the device" if stored else "bytes"
            rate = _our_step(setting, copy.deepcopy(backbone), depth, images, labels, stored=stored)
            yield f"{name}, batch {batch}: Thawline's step from {origin}", rate


def _our_step(
    setting: Setting, backbone: Backbone, depth: int | None, images: Tensor, labels: Tensor, *, stored: bool
) -> Rate:
    depth = backbone.num_stages if depth is None else depth
    model = make_classifier(backbone, depth, num_classes=_NUM_CLASSES)
    model.prefix = FrozenPrefix(backbone, dtype=torch.bfloat16)
    model.to(setting.device).train()
    given: torch.Tensor | Activations = images
    if stored:
        cut = backbone.num_stages - depth
        given = Activations(PrefixRunner(backbone, [Tap(cut)], Mode(torch.bfloat16))(images)[0].clone(), cut)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)

    def step() -> None:
        with torch.autocast(setting.device.type, dtype=torch.bfloat16):
            loss = F.cross_entropy(model(given).float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    return _rate(setting, step, len(images))


def _plain_step(setting: Setting, backbone: Backbone, depth: int | None, images: Tensor, labels: Tensor) -> Rate:
    """timm's model with its own classifier; what is frozen is in eval mode and needs no gradients."""
    model, stages = setting.plain(_NUM_CLASSES), backbone.stages
    model.train()
    frozen = () if depth is None else stages[: len(stages) - depth]
    parts = dict(model.named_modules())
    for name in (name for stage in frozen for name in stage.modules):
        parts[name].eval().requires_grad_(False)
    for name in (name for stage in frozen for name in stage.parameters):
        model.get_parameter(name).requires_grad_(False)
    classifier = model.get_classifier()  # type: ignore[operator]  # the last stage holds it too
    classifier.train().requires_grad_(True)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)

    def step() -> None:
        with torch.autocast(setting.device.type, dtype=torch.bfloat16):
            logits = model(normalised(images))
        F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    return _rate(setting, step, len(images))


def compile_rates(setting: Setting) -> Iterator[tuple[str, Rate]]:
    """The frozen model compiled, as the pass does from 15,000 images on; and how long the compiling takes."""
    backbone, batch = setting.backbone().eval(), setting.batches[0]
    images = setting.images(batch)
    runner = PrefixRunner(backbone, [Tap(backbone.num_stages)], Mode(torch.bfloat16, "compiled", batch))
    start = time.perf_counter()
    runner(images)
    seconds = time.perf_counter() - start
    name = f"forward, batch {batch}: Thawline, compiled in {seconds:.0f} s"
    yield name, _rate(setting, lambda: runner(images), batch)


def _rate(setting: Setting, step: Callable[[], object], batch: int) -> Rate:
    return rate(step, batch=batch, seconds=setting.seconds)


def _amp_dtype(setting: Setting) -> torch.dtype:
    """timm's --amp is fp16; a CPU has no use for it."""
    return torch.float16 if setting.device.type == "cuda" else torch.bfloat16


def main() -> None:
    """Measure, and print each number as soon as it is there; a failure is printed in its place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, for a CPU; the numbers mean nothing")
    parser.add_argument("--compiled", action="store_true", help="the compiled forward pass, and nothing else")
    parser.add_argument("--models", nargs="+", default=["tf_efficientnet_lite0", "resnet50"])
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    measures = [compile_rates] if given.compiled else [forward_rates, training_rates, pass_rates]
    for measure in measures:
        for model in given.models[:1] if measure is pass_rates or given.quick else given.models:
            setting = Setting(model, 224, (64, 256), 128, 8192, 0.75, device)
            if given.quick:
                setting = Setting(model, 64, (8,), 8, 64, 0.1, device)
            try:
                for name, rate in measure(setting):
                    row = {"model": model, "size": setting.size, "name": name, **dataclasses.asdict(rate)}
                    print(json.dumps(row), flush=True)
            except Exception as error:
                traceback.print_exc()
                print(json.dumps({"model": model, "name": measure.__name__, "error": repr(error)}), flush=True)


if __name__ == "__main__":
    main()
