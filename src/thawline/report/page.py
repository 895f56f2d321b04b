"""A comparison as one HTML page that needs no network: table, charts, classes, freeze certificates, advice."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np

from thawline.report.collect import Skipped
from thawline.report.comparison import Comparison, Row
from thawline.report.comparison_table import LEGEND, PROOF, cells, columns
from thawline.report.page_style import page_style
from thawline.report.run_record import RunRecord
from thawline.report.svg import NUM_COLOURS, Point, Series, chart

_MAX_CURVES = 8  # groups whose curves are drawn, the best first: as many as there are colours
_MAX_CLASSES = 20  # chosen: larger confusion matrices cannot be read
_COST_LABELS = {  # label, and its unit
    "fit_s": ("seconds of the fit", 1.0),
    "train_flops": ("TFLOP of training", 1e12),
    "peak_memory_bytes": ("GB of memory at the peak", 1e9),
}


@dataclass(frozen=True)
class Section:
    """Figures, each an SVG, under one heading; `key` holds (name, number) of the colours."""

    title: str
    figures: list[str]
    note: str = ""
    key: list[tuple[str, int]] = field(default_factory=list)


def page(comparisons: Sequence[Comparison], skipped: Sequence[Skipped], *, foot: str) -> str:
    """The page; `foot` says where, when and by which version it was made."""
    from jinja2 import Environment  # slow to load

    template = (files("thawline.report") / "report.html.jinja").read_text(encoding="utf-8")
    runs = [run for comparison in comparisons for row in comparison.rows for run in row.group.runs]
    return Environment(autoescape=True, trim_blocks=True).from_string(template).render(
        style=page_style(),
        metric=comparisons[0].metric,
        legend=LEGEND,
        num_groups=sum(len(comparison.rows) for comparison in comparisons),
        parts=[_part(comparison) for comparison in comparisons],
        runs=[_certificate(run.record) for run in runs],
        advice=[_advice(run.record) for run in runs if run.record.advice.reasons],
        skipped=skipped,
        foot=foot,
    )  # fmt: skip


def _part(comparison: Comparison) -> dict[str, Any]:
    """Values of the template for one set of images."""
    return {
        "data": comparison.data,
        "baseline": comparison.baseline,
        "columns": columns(comparison),
        "table": [cells(comparison, row) for row in comparison.rows],
        "sections": [s for s in (_depths(comparison), _pareto(comparison), _curves(comparison)) if s],
        "classes": [confusion for row in comparison.rows if (confusion := _confusion(row))],
    }


def _depths(comparison: Comparison) -> Section | None:
    """The metric against the depth, a line for each set of groups that differ only in the depth."""
    from natsort import natsorted  # slow to load

    lines: dict[str, dict[str, Row]] = {}
    for row in comparison.rows:
        settings = row.group.settings
        depth = str(settings.get("strategy.unfreeze_depth"))
        name = " ".join(part for part in row.group.name.split() if not part.startswith("unfreeze_depth="))
        lines.setdefault(name or str(settings.get("scenario")), {})[depth] = row
    lines = {name: rows for name, rows in lines.items() if len(rows) > 1}
    if not lines:
        return None
    depths = natsorted({depth for rows in lines.values() for depth in rows})  # numbers first, then "all"
    series = [
        Series(name, [_point(depths.index(d), rows[d]) for d in depths if d in rows], colour)
        for colour, (name, rows) in enumerate(lines.items())
    ]
    drawn = chart(series, x_label="stages that train", y_label=comparison.metric, x_names=depths)
    return Section(
        "How deep to thaw", [drawn], "0 trains the head only; bars are 95 % intervals.",
        [(line.name, line.colour % NUM_COLOURS) for line in series],
    )  # fmt: skip


def _point(x: float, row: Row) -> Point:
    score = row.score
    return Point(x, score.mean, score.low, score.high, f"{row.group.name}: {score.text()}")


def _pareto(comparison: Comparison) -> Section | None:
    """The metric against each cost; a colour for each group if there are enough colours."""
    in_colours = len(comparison.rows) <= NUM_COLOURS
    figures = []
    for cost, (label, unit) in _COST_LABELS.items():
        rows = [row for row in comparison.rows if row.costs[cost] > 0]
        if len(rows) < 2:
            continue
        points = {row.group.name: _point(row.costs[cost] / unit, row) for row in rows}
        efficient = sorted((row for row in rows if cost in row.efficient), key=lambda row: row.costs[cost])
        front = Series("not dominated", [points[row.group.name] for row in efficient], NUM_COLOURS - 1, dotted=False)
        dots = [Series(name, [point], n if in_colours else 0) for n, (name, point) in enumerate(points.items())]
        figures.append(chart([front, *dots], x_label=label, y_label=comparison.metric, log_x=True))
    key = [(row.group.name, n) for n, row in enumerate(comparison.rows)] if in_colours else []
    note = "Joined: no other group is cheaper and as good. The pointer names a point."
    return Section("What it costs", figures, note, key) if figures else None


def _curves(comparison: Comparison) -> Section | None:
    """Learning curves: the mean over the seeds at every step that all of them have."""
    figures, key = [], []
    rows = [row for row in comparison.rows if any(run.record.curves for run in row.group.runs)][:_MAX_CURVES]
    for tag in ("train/loss", "val/loss", "val/accuracy"):
        series = [Series(row.group.name, points, n) for n, row in enumerate(rows) if (points := _mean_curve(row, tag))]
        if series:
            figures.append(chart(series, x_label="step", y_label=tag))
            key = [(row.group.name, n) for n, row in enumerate(rows)]
    left_out = len(comparison.rows) - len(rows)
    note = f"The best {len(rows)} groups; {left_out} more are not drawn." if left_out > 0 else ""
    return Section("Learning curves", figures, note, key) if figures else None


def _mean_curve(row: Row, tag: str) -> list[Point]:
    curves = [
        {step: value for step, value in run.record.curves[tag] if step is not None}
        for run in row.group.runs
        if tag in run.record.curves
    ]
    if not curves:
        return []
    points = []
    for step in sorted(set.intersection(*(set(curve) for curve in curves))):
        values = [value for curve in curves if (value := curve[step]) is not None]
        if values:
            mean = statistics.fmean(values)
            points.append(Point(step, mean, title=f"{row.group.name}, step {step}: {mean:.3f}"))
    return points


def _confusion(row: Row) -> dict[str, Any] | None:
    records = [run.record for run in row.group.runs if run.record.classes.confusion is not None]
    if not records or len(records[0].classes.names) > _MAX_CLASSES:
        return None
    names = records[0].classes.names
    counts = np.sum([np.asarray(record.classes.confusion) for record in records], axis=0)  # (K, K)
    totals = np.maximum(counts.sum(1), 1)
    rows = [
        {
            "name": names[i],
            "cells": [{"count": int(n), "share": round(float(n / totals[i]) * 0.8, 3)} for n in counts[i]],
            "right": f"{counts[i, i] / totals[i]:.1%}",
        }
        for i in range(len(names))
    ]
    return {"name": row.group.name, "class_names": names, "rows": rows}


def _certificate(record: RunRecord) -> dict[str, Any]:
    freeze, params = record.freeze, record.params
    return {
        "name": record.run_id,
        "frozen": f"{freeze.frozen_stages} of {record.model.num_stages}",
        "params": f"{params.trainable:,} / {params.total:,}",
        "checks": freeze.checks,
        "proof": PROOF[freeze.verified],
    }


def _advice(record: RunRecord) -> dict[str, Any]:
    recommended = record.advice.recommendation
    return {
        "name": record.run_id,
        "choice": f"{recommended.get('strategy')}, unfreeze_depth {recommended.get('unfreeze_depth')}",
        "reasons": record.advice.reasons,
    }
