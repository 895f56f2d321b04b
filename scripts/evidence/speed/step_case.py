"""The case of single training steps, and its table."""

import statistics
from typing import Any

from speed.child import run_module
from speed.modes import ALLOCATORS, DEPTHS, MODES
from speed.setting import Setting
from thawline.markdown import markdown_table

Rates = dict[str, dict[str, float]]  # allocator -> DEPTH/MODE -> images per second


def training_step(setting: Setting) -> dict[str, Any]:
    """Rates by depth, arithmetic and allocator; the allocators in turn, in processes of their own."""
    sizes = setting.sizes
    allocators = ("default",) if setting.cuda else tuple(ALLOCATORS)  # on a GPU torch allocates by itself
    by_allocator: dict[str, list[dict[str, float]]] = {allocator: [] for allocator in allocators}
    for _ in range(setting.repeats):
        for allocator in allocators:
            arguments = ("--batch", sizes.step_batch, "--steps", sizes.steps, "--image-size", sizes.image_size)
            by_allocator[allocator].append(run_module("step_rates", "--allocator", allocator, *arguments)[0])
    medians = {
        a: {key: statistics.median(r[key] for r in rates) for key in rates[0]} for a, rates in by_allocator.items()
    }
    return {"rows": [], "images_per_s": medians, "batch": sizes.step_batch}


def step_table(rates: Rates) -> str:
    """Markdown: a row per depth and allocator, a column per mode that was measured."""
    measured = {key.partition("/")[2] for per_case in rates.values() for key in per_case}
    modes = {name: mode for name, mode in MODES.items() if name in measured}
    rows = []
    for depth, trained in DEPTHS.items():
        for allocator, per_case in rates.items():
            rows.append([trained, ALLOCATORS[allocator], *(f"{per_case[f'{depth}/{name}']:.0f}" for name in modes)])
    heads = ["trained", "allocator", *(mode.heading for mode in modes.values())]
    return markdown_table(heads, rows, align="ll" + "r" * len(modes))
