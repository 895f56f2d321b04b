"""Two pictures: accuracy of every strategy in every cell, and learning from pretrained and from random weights."""

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from trial.cells import STRATEGIES, Cell

_COLOURS = {
    "feature_extraction": "#1f77b4",
    "partial_fine_tune": "#2ca02c",
    "fine_tune": "#ff7f0e",
    "full_fine_tune": "#d62728",
    "from_scratch": "#7f7f7f",
}
_SPREAD = 0.6  # share of a cell's width over which the strategies are spread


def draw(cells: Sequence[Cell], converging: Cell) -> bytes:
    """PNG."""
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _accuracies(left, cells)
    _convergence(right, converging)
    out = io.BytesIO()
    figure.savefig(out, dpi=110)
    return out.getvalue()


def _accuracies(axes: Any, cells: Sequence[Cell]) -> None:
    for number, strategy in enumerate(STRATEGIES):
        axes.plot([], [], "o", color=_COLOURS[strategy], label=strategy)
        shift = (number / (len(STRATEGIES) - 1) - 0.5) * _SPREAD
        for place, cell in enumerate(cells):
            accuracy, outline = cell.accuracy(strategy), 1.6 if cell.guideline == strategy else 0
            low, high = (accuracy.mean if bound is None else bound for bound in (accuracy.low, accuracy.high))
            axes.errorbar(
                place + shift, accuracy.mean, [[accuracy.mean - low], [high - accuracy.mean]], color=_COLOURS[strategy],
                fmt="o", markersize=8 if outline else 6, markeredgecolor="black", markeredgewidth=outline, capsize=6,
            )  # fmt: skip
    axes.set_xticks(range(len(cells)), [cell.name for cell in cells])
    axes.set_ylabel("test accuracy")
    axes.set_title("Which strategy wins in which cell (outlined: the guideline)", fontsize=11)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")


def _convergence(axes: Any, cell: Cell) -> None:
    for strategy, label in (("full_fine_tune", "pretrained weights"), ("from_scratch", "random weights")):
        steps, curves = cell.curve(strategy)
        columns = list(zip(*curves, strict=True))
        colour = _COLOURS[strategy]
        axes.plot(steps, [sum(column) / len(column) for column in columns], "o-", color=colour, label=label)
        axes.fill_between(
            steps, [min(column) for column in columns], [max(column) for column in columns], color=colour, alpha=0.2
        )
    axes.set_xlabel("optimizer steps")
    axes.set_ylabel("validation accuracy")
    axes.set_title(f"{cell.name}: everything trains", fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
