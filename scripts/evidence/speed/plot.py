"""The ratios as a bar chart on a logarithmic scale, readable on a light and on a dark page."""

import math
import statistics
from pathlib import Path
from typing import Any

from speed.results import Results, rows_of
from speed.row import Row
from speed.speed_table import goal, ratio

# Chosen: contrast of at least 4 with GitHub's white and with its dark page (#0d1117).
_TEXT, _BAR, _MISSED = "#6e7781", "#2f81f7", "#db6d28"
_SCALE = "1x: plain Lightning, for memory full fine-tuning, for the extraction pass the forward pass alone"
_WORDS = 60  # factor on the longest bar: room for the words at its end
_WIDTH, _BAR_INCHES, _MARGIN_INCHES = 11, 0.4, 1.0


def plotted(results: Results) -> list[Row]:
    """The rows that have a ratio of two quantities; a difference is no length on a logarithmic scale."""
    rows = [row for case in results["cases"].values() for row in rows_of(case)]
    compared = [row for row in rows if row.compare != "difference" and row.gains]
    return [row for row in compared if 0 < statistics.median(row.gains) < math.inf]


def draw(rows: list[Row], path: Path) -> None:
    """Write the chart: one bar per row, its goal as a tick across it."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(_WIDTH, _BAR_INCHES * len(rows) + _MARGIN_INCHES), layout="constrained")
    axes.set_xscale("log")
    for number, row in enumerate(rows):
        _bar(axes, row, number)
    lengths = [1.0, *(statistics.median(row.gains) for row in rows), *(row.goal for row in rows if row.goal)]
    axes.set_xlim(min(lengths) / 1.5, max(lengths) * _WORDS)
    axes.set_yticks(range(len(rows)), [row.label.replace("`", "") for row in rows])
    axes.invert_yaxis()
    _frame(axes)
    figure.savefig(path, dpi=150, transparent=True, metadata={"Software": None})
    plt.close(figure)


def _bar(axes: Any, row: Row, number: int) -> None:
    """From 1, which is no gain, to the gain."""
    gain = statistics.median(row.gains)
    axes.barh(number, gain - 1, left=1, height=0.6, color=_MISSED if row.reached is False else _BAR)
    words = ratio(row).partition(" ")[0]
    if row.goal is not None:
        axes.plot([row.goal] * 2, [number - 0.4, number + 0.4], color=_TEXT, linewidth=2.5)
        words += f", goal {goal(row).removeprefix('at least ')}" + (" missed" if row.reached is False else "")
    end = (max(gain, row.goal or 0.0, 1.0), number)
    axes.annotate(words, end, xytext=(6, 0), textcoords="offset points", va="center", color=_TEXT, fontsize=9)


def _frame(axes: Any) -> None:
    axes.axvline(1, color=_TEXT, linewidth=0.8)
    axes.xaxis.set_major_formatter(lambda gain, _: f"{gain:,.0f}x" if gain >= 1 else f"{gain:g}x")
    axes.xaxis.set_minor_formatter(lambda gain, _: "")
    axes.set_xlabel(_SCALE, color=_TEXT, loc="right", fontsize=9)
    axes.tick_params(colors=_TEXT, which="both")
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_TEXT)
