"""The cases that fit a model on both sides: head only, partial, every depth, everything."""

import statistics
from dataclasses import asdict
from typing import Any

from speed.product_run import Product
from speed.row import Row
from speed.setting import Setting
from speed.timed_fits import Fit, PlainFit, plain_fit, plain_sweep, thawline_fit, thawline_sweep

Result = dict[str, Any]  # rows, and numbers that the table does not show
# The learning rates are those of conf/strategy.
FEATURE_EXTRACTION = ("feature_extraction", 0, 0.003, 0.0003)
PARTIAL = ("partial_fine_tune", 2, 0.001, 0.0003)
FULL = ("full_fine_tune", "all", 0.001, 0.0003)


def _fit(kind: tuple[str, int | str, float, float], epochs: int) -> Fit:
    strategy, depth, head_lr, backbone_lr = kind
    return Fit(strategy, depth, epochs, head_lr, backbone_lr)


def feature_extraction(setting: Setting) -> Result:
    """Train the head only, for the time of the whole fit."""
    fit = _fit(FEATURE_EXTRACTION, setting.sizes.feature_epochs)
    return _whole_fit(setting, fit, label="feature extraction", goal=60.0, accuracy_goal=0.0)


def partial_fine_tune(setting: Setting) -> Result:
    """Train the last two stages too."""
    fit = _fit(PARTIAL, setting.sizes.partial_epochs)
    return _whole_fit(setting, fit, label="partial fine-tune, last 2 stages", goal=8.0, accuracy_goal=None)


def _whole_fit(setting: Setting, fit: Fit, *, label: str, goal: float, accuracy_goal: float | None) -> Result:
    plain, ours = _in_turn(setting, fit)
    accuracies = [p.val_accuracy for p in plain if p.val_accuracy is not None]
    time = Row(
        f"{label}, {fit.epochs} epochs, whole fit",
        "s",
        "less",
        thawline=[o.fit_s for o in ours],
        baseline=[p.fit_s for p in plain],
        goal=setting.goal(goal),
        process_s=_process_s(plain, ours),
        note=_scaled(plain, fit),
    )
    accuracy = Row(
        f"{label}, validation accuracy of the best epoch",
        "accuracy",
        "difference",
        thawline=[o.records[0]["metrics"]["val/accuracy"] for o in ours],
        baseline=accuracies if len(accuracies) == len(plain) else [],
        goal=accuracy_goal,
        note="" if len(accuracies) == len(plain) else "the baseline was not run to its end",
    )
    tests = [o.records[0]["metrics"]["test/accuracy"] for o in ours]
    return {"rows": [asdict(time), asdict(accuracy)], "test_accuracy": tests, "cache": [_cache(o) for o in ours]}


def _in_turn(setting: Setting, fit: Fit) -> tuple[list[PlainFit], list[Product]]:
    """Both sides in turn, a seed per repeat."""
    seeds = range(setting.repeats)
    pairs = [(plain_fit(setting, fit, seed=seed), thawline_fit(setting, fit, seed=seed)) for seed in seeds]
    return [p for p, _ in pairs], [o for _, o in pairs]


def depth_sweep(setting: Setting) -> Result:
    """Train at every depth; the baseline fits one after the other."""
    depths, fit = setting.sizes.depths, _fit(PARTIAL, setting.sizes.sweep_epochs)
    pairs = [
        (plain_sweep(setting, fit, depths, seed=seed), thawline_sweep(setting, fit, depths, seed=seed))
        for seed in range(setting.repeats)
    ]
    plain_s = [sum(p.fit_s for p in fits) for fits, _ in pairs]
    row = Row(
        f"depth sweep {depths[0]}..{depths[-1]}, {len(depths)} fits of {fit.epochs} epochs, in total",
        "s",
        "less",
        thawline=[ours.fit_s for _, ours in pairs],
        baseline=plain_s,
        goal=setting.goal(3.0),
        process_s={
            "plain": [sum(p.process_s for p in fits) for fits, _ in pairs],
            "thawline": [ours.process_s for _, ours in pairs],
        },
        note=_scaled(pairs[0][0], fit),
    )
    return {"rows": [asdict(row)], "fit_s_by_depth": _by_depth(depths, pairs)}


def _by_depth(
    depths: tuple[int | str, ...], pairs: list[tuple[list[PlainFit], Product]]
) -> dict[str, dict[str, float]]:
    """Median seconds per fit; Thawline's pass through the frozen stages is in its first."""
    table = {}
    for number, depth in enumerate(depths):
        ours = [o.one_fit_s(unfreeze_depth=depth) for _, o in pairs]
        plain = [fits[number].fit_s for fits, _ in pairs]
        table[str(depth)] = {"plain": statistics.median(plain), "thawline": statistics.median(ours)}
    return table


def full_fine_tune(setting: Setting) -> Result:
    """Train everything, for the speed of training: as it comes, and compiled whatever that costs."""
    fit = _fit(FULL, setting.sizes.full_epochs)
    forced = _fit(FULL, setting.sizes.compiled_epochs)
    plain: list[PlainFit] = []
    ours: list[Product] = []
    compiled: list[Product] = []
    for seed in range(setting.repeats):
        plain.append(plain_fit(setting, fit, seed=seed))
        ours.append(thawline_fit(setting, fit, seed=seed))
        compiled.append(thawline_fit(setting, forced, "compile=true", seed=seed))
    label = f"full fine-tune, `compile=true`, {forced.epochs} epochs with the compiling in them"
    rows = [
        _rate_row(
            "full fine-tune, `compile=auto`", plain, ours, goal=setting.goal(3.0), process_s=_process_s(plain, ours)
        ),
        _rate_row(label, plain, compiled, goal=None, process_s={}),
    ]
    return {"rows": [asdict(row) for row in rows]}


def _rate_row(
    label: str, plain: list[PlainFit], ours: list[Product], *, goal: float | None, process_s: dict[str, list[float]]
) -> Row:
    return Row(
        label,
        "images/s",
        "more",
        thawline=[o.records[0]["cost"]["images_per_s"] for o in ours],
        baseline=[p.images_per_s for p in plain],
        goal=goal,
        process_s=process_s,
    )


def _process_s(plain: list[PlainFit], ours: list[Product]) -> dict[str, list[float]]:
    return {"plain": [p.process_s for p in plain], "thawline": [o.process_s for o in ours]}


def _scaled(plain: list[PlainFit], fit: Fit) -> str:
    run = plain[0].epochs_run
    return "" if run == fit.epochs else f"the baseline scaled from {run} epochs: its later epochs all cost the same"


def _cache(ours: Product) -> dict[str, Any]:
    cache = ours.records[0]["cache"]
    return {key: cache[key] for key in ("used", "reason", "cut", "bytes", "seconds") if key in cache}
