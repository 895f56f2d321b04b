"""Look at the target images once, and say where the freeze line belongs."""

import json
import logging
import math
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from thawline import __version__
from thawline.advisor.caveats import caveats, check_sample
from thawline.advisor.evidence import Evidence, evidence_of
from thawline.advisor.experience import load_measured
from thawline.advisor.look import Look, draw_both, look
from thawline.advisor.options import BATCH_SIZE
from thawline.advisor.pilot import LEAST_IMAGES, MAX_IMAGES, PILOT, Pilot, pilot_seconds, run_pilot
from thawline.advisor.prices import prices_of_runs, step_costs
from thawline.advisor.reasons import reasons
from thawline.advisor.recommend import Price, Recommendation, recommend
from thawline.advisor.step_cost import StepCost
from thawline.atomic import write_atomically
from thawline.callbacks.tensorboard import add_picture
from thawline.features.feature_cache import FeatureCache
from thawline.machine.compute import Compute, choose_compute
from thawline.machine.memory import keep_freed_memory, peak_resident_bytes
from thawline.machine.utf8_path import utf8_path
from thawline.models.backbone import Backbone, build_backbone
from thawline.report.advice_json import ADVICE_FILE, FIGURE_NAME, advice_body
from thawline.report.advice_panel import advice_panel, commands, next_steps
from thawline.report.profile_chart import profile_chart
from thawline.report.profile_events import add_profile
from thawline.report.profile_figure import profile_figure, save_figure
from thawline.runs.context import RunContext
from thawline.runs.make import make
from thawline.runs.quiet import quiet
from thawline.settings.advise_settings import BudgetSettings
from thawline.settings.run_settings import LookSettings
from thawline.training.datamodule import ImageDataModule

_log = logging.getLogger(__name__)
_NO_PILOT = "Note: no pilot: training the last two stages would take"


@dataclass(frozen=True)
class Advice:
    """What was seen, what is recommended, why, and what to type.

    Attributes:
        body: All of it as advice.json holds it.
    """

    look: Look
    recommendation: Recommendation
    reasons: list[str]
    budget: BudgetSettings
    commands: list[str]
    body: dict[str, Any]


def advise(settings: LookSettings, context: RunContext) -> Advice:
    """Measure, print, and write advice.json and the figure into the context's folder."""
    start, folder = time.perf_counter(), context.folder
    with quiet():
        advice = measured_advice(settings, context)
    with SummaryWriter(str(utf8_path(folder))) as writer:
        add_picture(writer, "depth_profile", folder / FIGURE_NAME)
        add_profile(writer, advice.look.profile)
        typed = [f"`{command}`" for command in advice.commands]
        writer.add_text("advice", "\n".join(f"- {line}" for line in [*advice.reasons, *typed]))
    shown_advice(advice, Console())
    print(next_steps(advice.commands, Path(settings.output_dir)))
    print(f"advice  {folder}")
    _log.info(f"Looked at {advice.look.profile.num_images:,} images in {time.perf_counter() - start:.0f} s.")
    return advice


def shown_advice(advice: Advice, console: Console) -> None:
    """Print the profile and the recommendation."""
    frozen = advice.recommendation.best.option.num_frozen(len(advice.look.profile.stage_names))
    console.print(profile_chart(advice.look.profile, freeze_line=frozen))
    console.print(advice_panel(advice.recommendation, advice.reasons, budget=advice.budget))


def measured_advice(settings: LookSettings, context: RunContext) -> Advice:
    """Look, measure what options would cost here, recommend; advice.json and the figure are written."""
    compute = choose_compute(accelerator=settings.trainer.accelerator, precision="auto")
    if compute.on_cpu:
        keep_freed_memory()
    torch.manual_seed(settings.seed)
    model = settings.model
    backbone = build_backbone(model.name, weights=model.weights, image_size=model.image_size)
    backbone.input = replace(backbone.input, fit=settings.loader.fit)
    data = ImageDataModule(
        make(settings.source, "data.source"),
        spec=backbone.input, loader=settings.loader, seed=settings.seed, on_cpu=compute.on_cpu,
    )  # fmt: skip
    resident = peak_resident_bytes()
    seen = _look(data, backbone, settings, compute)
    evidence, prices = _measured(data, backbone, seen, settings, compute, resident=resident)
    experience = load_measured()
    found = recommend(evidence, prices, measured=experience, budget=settings.budget)
    swept_with = sorted({row.backbone for row in experience})
    cautions = caveats(data.source, seen.sample.train, backbone, swept_with=swept_with)
    why = [*reasons(evidence, found, budget=settings.budget), *cautions]
    typed = commands(found, _given(context))
    about = _about(data, backbone, model.weights)
    body = advice_body(seen.profile, evidence, found, why, num_stages=backbone.num_stages, commands=typed, about=about)
    advice = Advice(seen, found, why, settings.budget, typed, body)
    _write(advice, context.folder, title=f"{data.source.name}, {backbone.name}")
    return advice


def _write(advice: Advice, folder: Path, *, title: str) -> None:
    write_atomically(folder / ADVICE_FILE, json.dumps(advice.body, indent=1) + "\n")
    profile = advice.look.profile
    frozen = advice.recommendation.best.option.num_frozen(len(profile.stage_names))
    save_figure(profile_figure(profile, freeze_line=frozen, title=title), folder / FIGURE_NAME)


def _given(context: RunContext) -> list[str]:
    """The command line's overrides, with the data that was looked at where they do not choose it."""
    given = list(context.overrides)
    chosen = any(override.startswith("data=") for override in given)
    return given if chosen else [f"data={context.choices['data']}", *given]


def _look(data: ImageDataModule, backbone: Backbone, settings: LookSettings, compute: Compute) -> Look:
    source, num_images = data.source, settings.advise.max_images
    sample = draw_both(source, data.splits, num_images=num_images, seed=data.seed)
    check_sample(source.labels[sample.train], name=source.name)
    num_train = len(data.splits["train"])
    drawn = "" if len(sample.train) == num_train else f", a sample of {len(sample.train):,} of them is looked at"
    _log.info("%s: %s training images, %d classes%s", source.name, f"{num_train:,}", data.num_classes, drawn)
    if not backbone.pretrained:
        _log.warning("Note: model.weights=none: nothing was learned in this backbone; there is no source to compare.")
    cache = FeatureCache.of(settings.cache)
    return look(sample, backbone, compute, cache=cache, num_workers=data.num_workers)


def _measured(
    data: ImageDataModule,
    backbone: Backbone,
    seen: Look,
    settings: LookSettings,
    compute: Compute,
    *,
    resident: int,
) -> tuple[Evidence, dict[str, Price]]:
    """What the advice rests on, and what every option would cost on this machine.

    Args:
        resident: Bytes that the process held before the look.
    """
    memory_gb = settings.budget.memory_gb
    allowed = math.inf if memory_gb is None else 1e9 * memory_gb - resident
    precision, num_classes = compute.precision, data.num_classes
    costs = step_costs(backbone, seen.images, num_classes=num_classes, precision=precision, max_bytes=allowed)
    limits = PilotLimits(settings.advise.pilot_seconds, allowed)
    pilot = _pilot(backbone, seen, costs.get(PILOT.name), limits, compute)
    evidence = evidence_of(seen.profile, pilot, num_train=_num_distinct(data), num_classes=num_classes)
    prices = prices_of_runs(
        costs,
        num_stages=backbone.num_stages,
        num_train=len(data.splits["train"]),
        num_val=len(data.splits["val"]),
        image_s=seen.image_s,
        resident=resident,
    )
    return evidence, prices


def _num_distinct(data: ImageDataModule) -> int:
    return len(set(data.source.groups[data.splits["train"]].tolist()))


@dataclass(frozen=True)
class PilotLimits:
    """Seconds and bytes that the pilot may take."""

    seconds: float
    memory_bytes: float


def _pilot(
    backbone: Backbone, seen: Look, cost: StepCost | None, limits: PilotLimits, compute: Compute
) -> Pilot | None:
    """None where it cannot be made within its limits."""
    num_images = min(len(seen.sample.train), MAX_IMAGES)
    if seen.rows is None or cost is None or num_images < LEAST_IMAGES:
        return None
    if cost.memory_bytes(BATCH_SIZE) > limits.memory_bytes:
        _log.warning("%s more memory than budget.memory_gb.", _NO_PILOT)
        return None
    seconds = pilot_seconds(num_images, step_s=BATCH_SIZE * cost.image_s)
    if seconds > limits.seconds:
        _log.warning("%s %.0f s here, and advise.pilot_seconds is %g.", _NO_PILOT, seconds, limits.seconds)
        return None
    _log.info("Pilot: the last two stages, trained for about %.0f s", seconds)
    return run_pilot(backbone, seen.rows, seen.sample.labels, seen.sample.groups, compute=compute)


def _about(data: ImageDataModule, backbone: Backbone, weights: str) -> dict[str, Any]:
    return {
        "data": {"name": data.source.name, "num_classes": data.num_classes, "fingerprint": data.source.fingerprint()},
        "model": {"name": backbone.name, "weights": weights, "image_size": backbone.input.size},
        "versions": {"thawline": __version__, **{name: version(name) for name in ("torch", "timm")}},
    }
