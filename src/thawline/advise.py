"""Look at the target images once, and say where the freeze line belongs."""

import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from thawline import __version__
from thawline.advisor.caveats import caveats, check_sample
from thawline.advisor.cost import StepCost
from thawline.advisor.evidence import evidence_of
from thawline.advisor.experience import load_measured
from thawline.advisor.look import Look, draw_sample, look
from thawline.advisor.options import BATCH_SIZE
from thawline.advisor.pilot import LEAST_IMAGES, MAX_IMAGES, PILOT, Pilot, pilot_seconds, run_pilot
from thawline.advisor.prices import prices_of_runs, step_costs
from thawline.advisor.reasons import reasons
from thawline.advisor.recommend import Recommendation, recommend
from thawline.advisor.settings import BudgetSettings
from thawline.callbacks.tensorboard import add_picture, add_profile
from thawline.config import (
    advise_settings,
    budget_settings,
    cache_settings,
    loader_settings,
    model_settings,
    resolve,
    seed_setting,
)
from thawline.data.datamodule import ImageDataModule
from thawline.device import choose_device
from thawline.features.cache import FeatureCache
from thawline.make import make
from thawline.memory import keep_freed_memory, peak_resident_bytes
from thawline.models.backbone import Backbone, build_backbone
from thawline.precision import Precision, choose_precision
from thawline.quiet import quiet
from thawline.report.advice import ADVICE_FILE, FIGURE_NAME, advice_body
from thawline.report.advice_panel import advice_panel, commands, next_steps
from thawline.report.atomic import write_atomically
from thawline.report.profile_chart import profile_chart
from thawline.report.profile_figure import profile_figure, save_figure

_log = logging.getLogger(__name__)
_TRAIN_PER_VAL = 4  # training images that are looked at for a validation image; chosen: about as they are split
_NO_PILOT = "Note: no pilot: training the last two stages would take"


@dataclass(frozen=True)
class Advice:
    """What was seen, what is recommended, why, and what to type."""

    look: Look
    recommendation: Recommendation
    reasons: list[str]
    budget: BudgetSettings
    commands: list[str]


def advise(cfg: DictConfig) -> Advice:
    """Measure, print and write advice.json and the figure into Hydra's output folder."""
    start = time.perf_counter()
    folder = Path(HydraConfig.get().runtime.output_dir)
    with quiet():
        advice = measured_advice(resolve(cfg), folder)
    with SummaryWriter(str(folder)) as writer:
        add_picture(writer, "depth_profile", folder / FIGURE_NAME)
        add_profile(writer, advice.look.profile)
        typed = [f"`{command}`" for command in advice.commands]
        writer.add_text("advice", "\n".join(f"- {line}" for line in [*advice.reasons, *typed]))
    shown_advice(advice, Console())
    print(next_steps(advice.commands, Path(cfg.output_dir)))
    print(f"advice  {folder}")
    _log.info(f"Looked at {advice.look.profile.num_images:,} images in {time.perf_counter() - start:.0f} s.")
    return advice


def shown_advice(advice: Advice, console: Console) -> None:
    """Print the profile and the recommendation."""
    frozen = advice.recommendation.best.option.num_frozen(len(advice.look.profile.stage_names))
    console.print(profile_chart(advice.look.profile, freeze_line=frozen))
    console.print(advice_panel(advice.recommendation, advice.reasons, budget=advice.budget))


def measured_advice(cfg: DictConfig, folder: Path) -> Advice:
    """The advice for a resolved config, written to `folder`."""
    model, seed, budget = model_settings(cfg), seed_setting(cfg), budget_settings(cfg)
    settings = advise_settings(cfg)
    device = choose_device(cfg.trainer.accelerator)
    if device.type == "cpu":
        keep_freed_memory()
    torch.manual_seed(seed)
    backbone = build_backbone(model.name, weights=model.weights, image_size=model.image_size)
    data = ImageDataModule(
        make(cfg.data.source, "data.source"),
        spec=backbone.input, loader=loader_settings(cfg), seed=seed, on_cpu=device.type == "cpu",
    )  # fmt: skip
    precision, resident = choose_precision("auto", device), peak_resident_bytes()
    seen = _seen(
        data, backbone, FeatureCache.of(cache_settings(cfg)), num_images=settings.max_images, device=device,
        precision=precision, has_source=model.weights != "none",
    )  # fmt: skip
    allowed = math.inf if budget.memory_gb is None else 1e9 * budget.memory_gb - resident
    costs = step_costs(backbone, seen.images, num_classes=data.num_classes, precision=precision, max_bytes=allowed)
    pilot = _pilot(
        backbone, seen, data, costs, max_seconds=settings.pilot_seconds, max_bytes=allowed, device=device,
        precision=precision,
    )  # fmt: skip
    evidence = evidence_of(seen.profile, pilot, num_train=_num_distinct(data), num_classes=data.num_classes)
    num_train, num_val = len(data.splits["train"]), len(data.splits["val"])
    prices = prices_of_runs(
        costs, num_stages=backbone.num_stages, num_train=num_train, num_val=num_val, image_s=seen.image_s,
        resident=resident,
    )  # fmt: skip
    measured = load_measured()
    found = recommend(evidence, prices, measured=measured, budget=budget)
    swept_with = sorted({row.backbone for row in measured})
    told = caveats(data.source, seen.sample, backbone, has_source=model.weights != "none", swept_with=swept_with)
    why = [*reasons(evidence, found, budget=budget), *told]
    about = _about(data, backbone, model.weights)
    typed = commands(found, _given())
    body = advice_body(seen.profile, evidence, found, why, num_stages=backbone.num_stages, commands=typed, about=about)
    write_atomically(folder / ADVICE_FILE, json.dumps(body, indent=1) + "\n")
    frozen = found.best.option.num_frozen(backbone.num_stages)
    title = f"{data.source.name}, {backbone.name}"
    save_figure(profile_figure(seen.profile, freeze_line=frozen, title=title), folder / FIGURE_NAME)
    return Advice(seen, found, why, budget, typed)


def _given() -> list[str]:
    """The command line's overrides, with the data that was looked at where they do not choose it."""
    given, choice = list(HydraConfig.get().overrides.task), HydraConfig.get().runtime.choices["data"]
    chosen = any(override.startswith("data=") for override in given)
    return given if chosen else [f"data={choice}", *given]


def _seen(
    data: ImageDataModule,
    backbone: Backbone,
    cache: FeatureCache,
    *,
    num_images: int,
    device: torch.device,
    precision: Precision,
    has_source: bool,
) -> Look:
    source, train = data.source, data.splits["train"]
    sample, held_out = (
        draw_sample(source.labels, source.groups, pool, num_images=number, seed=data.seed)
        for pool, number in ((train, num_images), (data.splits["val"], num_images // _TRAIN_PER_VAL))
    )
    check_sample(source.labels[sample], name=source.name)
    drawn = "" if len(sample) == len(train) else f", a sample of {len(sample):,} of them is looked at"
    _log.info("%s: %s training images, %d classes%s", source.name, f"{len(train):,}", data.num_classes, drawn)
    if not has_source:
        _log.warning("Note: model.weights=none: nothing was learned in this backbone; there is no source to compare.")
    return look(
        source, sample, held_out, backbone, dtype=precision.prefix, device=device, cache=cache, has_source=has_source,
        num_workers=data.num_workers,
    )  # fmt: skip


def _num_distinct(data: ImageDataModule) -> int:
    return len(set(data.source.groups[data.splits["train"]].tolist()))


def _pilot(
    backbone: Backbone,
    seen: Look,
    data: ImageDataModule,
    costs: Mapping[str, StepCost],
    *,
    max_seconds: float,
    max_bytes: float,
    device: torch.device,
    precision: Precision,
) -> Pilot | None:
    """None where it cannot be made in that time and memory."""
    num_images = min(len(seen.sample), MAX_IMAGES)
    if seen.rows is None or num_images < LEAST_IMAGES:
        return None
    if costs[PILOT.name].memory_bytes(BATCH_SIZE) > max_bytes:
        _log.warning("%s more memory than budget.memory_gb.", _NO_PILOT)
        return None
    seconds = pilot_seconds(num_images, step_s=BATCH_SIZE * costs[PILOT.name].image_s)
    if seconds > max_seconds:
        _log.warning("%s %.0f s here, and advise.pilot_seconds is %g.", _NO_PILOT, seconds, max_seconds)
        return None
    _log.info("Pilot: the last two stages, trained for about %.0f s", seconds)
    labels = data.source.labels[np.concatenate([seen.sample, seen.held_out])]
    groups = data.source.groups[seen.sample]
    return run_pilot(backbone, seen.rows, labels, groups, precision=precision, device=device)


def _about(data: ImageDataModule, backbone: Backbone, weights: str) -> dict[str, Any]:
    return {
        "data": {"name": data.source.name, "num_classes": data.num_classes, "fingerprint": data.source.fingerprint()},
        "model": {"name": backbone.name, "weights": weights, "image_size": backbone.input.size},
        "versions": {"thawline": __version__, **{name: version(name) for name in ("torch", "timm")}},
    }
