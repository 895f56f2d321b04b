"""Look at the target images once, and say where the freeze line belongs."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any

from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from thawline import __version__
from thawline.advisor.caveats import caveats, check_sample
from thawline.advisor.choices import Price, Recommendation, allows, deepest_within, depths_to_train, recommend
from thawline.advisor.look import Look, draw_both, look
from thawline.advisor.prices import blended_price, solved_price
from thawline.advisor.reasons import reasons
from thawline.advisor.step_cost import SMALLER, step_cost
from thawline.amounts import plural
from thawline.atomic import write_atomically
from thawline.callbacks.tensorboard import add_picture
from thawline.features.feature_cache import FeatureCache
from thawline.machine.compute import Compute, choose_compute
from thawline.machine.decisions import memory_format
from thawline.machine.device_memory import allowed_bytes, free_bytes, held_bytes, lack_of_memory_explained
from thawline.machine.memory import keep_freed_memory
from thawline.machine.tf32 import tf32_restored
from thawline.machine.utf8_path import utf8_path
from thawline.models.backbone import Backbone
from thawline.report.advice_json import ADVICE_FILE, FIGURE_NAME, advice_body
from thawline.report.advice_panel import advice_panel, commands, next_steps
from thawline.report.profile_chart import profile_chart
from thawline.report.profile_events import add_profile
from thawline.report.profile_figure import profile_figure, save_figure
from thawline.runs.candidates import refuse_comparison
from thawline.runs.context import RunContext
from thawline.runs.quiet import quiet
from thawline.runs.shared import Shared
from thawline.settings.advise_settings import BudgetSettings
from thawline.settings.run_settings import LookSettings
from thawline.training.datamodule import ImageDataModule
from thawline.whole_table import WholeTable

_log = logging.getLogger(__name__)


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
    refuse_comparison(settings.model)
    with quiet(), tf32_restored():
        advice = measured_advice(settings, context)
    with SummaryWriter(str(utf8_path(folder))) as writer:
        add_picture(writer, "depth_profile", folder / FIGURE_NAME)
        add_profile(writer, advice.look.profile)
        typed = [f"`{command}`" for command in advice.commands]
        writer.add_text("advice", "\n".join(f"- {line}" for line in [*advice.reasons, *typed]))
    shown_advice(advice, Console())
    print(next_steps(advice.commands))
    print(f"advice  {folder}")
    _log.info(f"Looked at {plural(advice.look.profile.num_images, 'image')} in {time.perf_counter() - start:.0f} s.")
    return advice


def shown_advice(advice: Advice, console: Console) -> None:
    """Print the profile and the recommendation."""
    console.print(WholeTable(profile_chart(advice.look.profile, freeze_line=_freeze_line(advice))))
    console.print(advice_panel(advice.recommendation, advice.reasons, budget=advice.budget))


def measured_advice(
    settings: LookSettings,
    context: RunContext,
    *,
    shared: Shared | None = None,
    fits: Callable[[Price], bool] | None = None,
) -> Advice:
    """Look, measure what a run would cost here, recommend; advice.json and the figure are written.

    Args:
        shared: With the images and backbones of the runs before.
        fits: Whether a blend may be run, by its price; the budget decides by default.
    """
    compute = choose_compute(accelerator=settings.trainer.accelerator, precision=settings.trainer.precision)
    compute.set_up()
    if compute.on_cpu:
        keep_freed_memory()
    shared = shared or Shared(keeps=False)
    backbone = shared.backbone(settings.model, weights=settings.model.weights, seed=settings.seed)
    backbone.to(memory_format=memory_format(compute.device.type))
    backbone.input = replace(backbone.input, fit=settings.loader.fit, decoded_side=settings.loader.decoded_side)
    data = ImageDataModule(
        shared.source(settings.source),
        spec=backbone.input, loader=settings.loader, seed=settings.seed, kind=compute.device.type,
    )  # fmt: skip
    before = held_bytes(compute.device)
    what = f"{backbone.name} at {backbone.input.size} pixels"
    with lack_of_memory_explained(what, compute.device, next_step=SMALLER):  # of a batch, `look` says so itself
        seen = _look(data, backbone, settings, compute)
    resident = before if compute.on_cpu else held_bytes(compute.device)  # a GPU holds nothing before, the model after
    advice = _advice(data, backbone, seen, settings, context, compute, resident=resident, fits=fits)
    write_atomically(context.folder / ADVICE_FILE, json.dumps(advice.body, indent=1) + "\n")
    title = f"{data.source.name}, {backbone.name}"
    figure = profile_figure(seen.profile, freeze_line=_freeze_line(advice), title=title)
    save_figure(figure, context.folder / FIGURE_NAME)
    return advice


def _freeze_line(advice: Advice) -> int:
    """That of the blend, also where the stack alone is recommended: it is what would train next."""
    return len(advice.look.profile.stage_names) - advice.recommendation.choices[-1].depth


def _look(data: ImageDataModule, backbone: Backbone, settings: LookSettings, compute: Compute) -> Look:
    source, num_images = data.source, settings.advise.max_images
    sample = draw_both(source, data.splits, num_images=num_images, seed=data.seed)
    check_sample(source.labels[sample.train], name=source.name)
    num_train = len(data.splits["train"])
    drawn = "" if len(sample.train) == num_train else f", a sample of {len(sample.train):,} of them is looked at"
    images, classes = plural(num_train, "training image"), plural(data.num_classes, "class", "classes")
    _log.info("%s: %s, %s%s", source.name, images, classes, drawn)
    if not backbone.pretrained:
        _log.warning("Note: model.weights=none: nothing was learned in this backbone; there is no source to compare.")
    cache = FeatureCache.of(settings.cache)
    return look(
        sample, backbone, compute, cache=cache, num_workers=data.num_workers, new_images=len(data.splits["test"])
    )


def _advice(
    data: ImageDataModule,
    backbone: Backbone,
    seen: Look,
    settings: LookSettings,
    context: RunContext,
    compute: Compute,
    *,
    resident: int,
    fits: Callable[[Price], bool] | None,
) -> Advice:
    """The recommendation with its reasons.

    Args:
        resident: Bytes of the device's memory that a run holds besides its steps.
    """
    budget, num_train = settings.budget, len(set(data.source.groups[data.splits["train"]].tolist()))
    solved, blend = _prices(data, backbone, seen, budget, compute, resident=resident)
    fits = fits or partial(allows, budget)
    depth, blended = deepest_within(fits, depths_to_train(seen.profile), blend)
    recommended = recommend(
        seen.profile, num_train=num_train, depth=depth, solved=solved, blended=blended, budget=budget
    )
    why = reasons(
        seen.profile, recommended, num_train=num_train, num_classes=data.num_classes, why=seen.why, budget=budget
    )
    why += caveats(data.source, seen.sample.train, backbone)
    typed = commands(recommended, _given(context))
    about = _about(data, backbone, settings.model.weights)
    body = advice_body(seen.profile, recommended, why, num_train=num_train, commands=typed, about=about)
    return Advice(seen, recommended, why, budget, typed, body)


def _prices(
    data: ImageDataModule, backbone: Backbone, seen: Look, budget: BudgetSettings, compute: Compute, *, resident: int
) -> tuple[Price, Callable[[int], Price]]:
    """Of the stack, and of a blend by its depth, from the time of one training step."""
    allowed = allowed_bytes(budget.memory_gb, held=resident, free=free_bytes(compute.device))
    num_train, num_val = len(data.splits["train"]), len(data.splits["val"])
    solved = solved_price(seen, num_images=num_train + num_val, resident=resident)
    measured = partial(step_cost, backbone, images=seen.images, num_classes=data.num_classes)

    def blended(depth: int) -> Price:
        cost = measured(depth, precision=compute.precision, max_bytes=allowed)
        return blended_price(solved, cost, num_train=num_train, num_val=num_val)

    return solved, blended


def _given(context: RunContext) -> list[str]:
    """The command line's overrides, with the data that was looked at where they do not choose it."""
    given = list(context.overrides)
    names_data = any(override.startswith("data=") for override in given)
    return given if names_data else [f"data={context.choices['data']}", *given]


def _about(data: ImageDataModule, backbone: Backbone, weights: str) -> dict[str, Any]:
    return {
        "data": {"name": data.source.name, "num_classes": data.num_classes, "fingerprint": data.source.fingerprint()},
        "model": {"name": backbone.name, "weights": weights, "image_size": backbone.input.size},
        "versions": {"thawline": __version__, **{name: version(name) for name in ("torch", "timm")}},
    }
