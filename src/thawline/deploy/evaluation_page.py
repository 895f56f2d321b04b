"""An evaluation as one HTML page that needs no network: scores, classes, confusions, calibration, images to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from thawline.amounts import plural
from thawline.deploy.calibration_error import error_line
from thawline.deploy.evaluated import Against, Evaluated
from thawline.deploy.evaluation import Bin, Scores, Share, confused_pairs
from thawline.deploy.evaluation_files import summary_metrics
from thawline.deploy.evaluation_text import accept_line, p_text, percent, score_text, with_interval
from thawline.deploy.gallery import Pictures, Shown
from thawline.printable import printable
from thawline.report.page_style import page_style
from thawline.report.svg import NUM_COLOURS, Point, Series, chart

_MAX_CELLS = 20  # classes; larger confusion matrices cannot be read
_MAX_PAIRS = 15  # chosen: confusions that are listed
_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "auroc": "AUROC",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
}


@dataclass(frozen=True)
class Wall:
    """Images under a heading."""

    title: str
    note: str
    images: Sequence[tuple[Shown, Pictures | None]]


def evaluation_page(evaluated: Evaluated, other: Against | None, walls: Sequence[Wall], *, foot: str) -> str:
    """The page; `foot` says when and by which version it was made."""
    from jinja2 import Environment  # slow to load

    template = (files("thawline.deploy") / "evaluation.html.jinja").read_text(encoding="utf-8")
    measured, names = evaluated.scores, evaluated.model.class_names
    pairs = confused_pairs(measured.confusion, names)
    return Environment(autoescape=True, trim_blocks=True).from_string(template).render(
        style=page_style(),
        title=printable(evaluated.source.where.resolve().name),
        about=_about(evaluated),
        notes=evaluated.notes,
        tiles=_tiles(measured),
        classes=_classes(measured),
        pairs=[(truth, label, _counted(of)) for truth, label, of in pairs[:_MAX_PAIRS]],
        num_pairs=len(pairs),
        matrix=_matrix(measured, names),
        reliability=_reliability(measured),
        calibration_error=error_line(measured.calibration),
        risk=_risk(measured),
        accept=[accept_line(one) for one in measured.thresholds],
        against=None if other is None else _against(evaluated, other),
        walls=[wall for wall in walls if wall.images],
        foot=foot,
    )  # fmt: skip


def _about(evaluated: Evaluated) -> str:
    source, model = evaluated.source, evaluated.model.description
    split = f", split {source.split}" if source.split else ""
    number, classes = evaluated.scores.images, sum(1 for one in evaluated.scores.classes if one.images)
    return (
        f"{plural(number, 'image')} of {plural(classes, 'class', 'classes')} in {printable(source.where)}{split}, "
        f"answered by {model.provenance.strategy} on {model.architecture.backbone} ({printable(evaluated.folder)})"
    )


def _tiles(measured: Scores) -> list[tuple[str, str, str]]:
    """(name, value, what it means) of the numbers at the top."""
    bounds = measured.calibration
    means = {
        "accuracy": with_interval(measured.accuracy, brackets=False),
        "balanced_accuracy": "mean recall of the classes",
        "macro_f1": "mean F1 of the classes",
        "auroc": "one class against the rest, mean",
        "log_loss": "lower is better",
        "calibration_error": f"{bounds.low:.3f} to {bounds.high:.3f}; perfect: {bounds.by_chance:.3f}",
    }
    values = summary_metrics(measured)
    return [(name, score_text(values[key]), means[key]) for key, name in _NAMES.items()]


def _classes(measured: Scores) -> list[list[str]]:
    """Rows of the table of classes, the least recall first; classes without images last."""
    rows = sorted(measured.classes, key=lambda one: (one.images == 0, one.recall.value or 0.0))
    return [
        [
            one.name,
            f"{one.images:,}",
            with_interval(one.recall),
            with_interval(one.precision),
            _bounded(one.f1, one.f1_low, one.f1_high),
            score_text(one.auroc),
        ]
        for one in rows
    ]


def _bounded(value: float | None, low: float | None, high: float | None) -> str:
    return "-" if value is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _counted(of: Share) -> str:
    return f"{of.count} of {of.of} ({percent(of.value or 0.0)})"


def _matrix(measured: Scores, names: Sequence[str]) -> dict[str, Any] | None:
    if len(names) > _MAX_CELLS:
        return None
    rows = []
    for name, counts in zip(names, measured.confusion, strict=True):
        total = max(sum(counts), 1)
        rows.append({"name": name, "cells": [(n, round(0.8 * n / total, 3)) for n in counts]})
    return {"class_names": names, "rows": rows}


def _bin_title(one: Bin) -> str:
    return f"{plural(one.images, 'image')}: {_counted(one.right)}"


def _reliability(measured: Scores) -> str:
    points = [
        Point(one.confidence, one.right.value or 0.0, one.right.low, one.right.high, _bin_title(one))
        for one in measured.bins
    ]
    ideal = Series("ideal", [Point(0, 0), Point(1, 1)], NUM_COLOURS - 1, dotted=False)
    return chart([ideal, Series("measured", points)], x_label="probability of the answer", y_label="share right")


def _risk(measured: Scores) -> str:
    points = [Point(c, a, title=f"{percent(c)} of images: {percent(a)} right") for c, a in measured.risk_coverage]
    goals = [
        Point(one.accepted.value or 0.0, one.right.value or 0.0, title=accept_line(one)) for one in measured.thresholds
    ]
    series = [Series("curve", points, dotted=len(points) == 1), Series("goals", goals, 1, joined=False)]
    return chart(series, x_label="share of images accepted, the surest first", y_label="share right of these")


def _against(evaluated: Evaluated, other: Against) -> dict[str, Any]:
    this, second = summary_metrics(other.this), summary_metrics(other.other)
    return {
        "name": f"{other.model.description.provenance.strategy} ({printable(other.folder)})",
        "rows": [(name, score_text(this[key]), score_text(second[key])) for key, name in _NAMES.items()],
        "paired": other.paired,
        "line": paired_line(other),
        "notes": other.notes,
    }


def paired_line(other: Against) -> str:
    """The comparison in a sentence."""
    one = other.paired
    return (
        f"accuracy {one.difference:+.4f} ({one.low:+.4f} to {one.high:+.4f}) on {one.images:,} images: "
        f"{one.only_this} only this one answers right, {one.only_other} only the other; McNemar {p_text(one.p_value)}"
    )


def wall(title: str, note: str, images: Sequence[tuple[int, Shown]], pictures: Mapping[int, Pictures]) -> Wall:
    """Images with their pictures, by position."""
    together = [(one, pictures.get(position)) for position, one in images]
    hot = any(picture is not None and picture.heat for _, picture in together)
    return Wall(title, f"{note} On the right: the parts that the answer needs, in colour." if hot else note, together)
