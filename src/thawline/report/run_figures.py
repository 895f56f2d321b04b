"""Pictures of one run for TensorBoard: confusion matrix, worst mistakes, freeze plan."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_NAMES = 40  # chosen: the names of so many classes fit beside the matrix
_MAX_COUNTS = 15  # chosen: with so many classes every cell has room for its number
_AS_IT_IS: dict[str, Any] = {"parse_math": False}  # a name with two $ is no formula
_COLUMNS = 4  # of worst mistakes
_MAX_EPOCHS = 12  # chosen: the numbers of so many epochs fit below the plan


def confusion_figure(confusion: Sequence[Sequence[int]], class_names: Sequence[str]) -> "Figure":
    """Test images by true class (rows) and predicted class (columns), shaded by share of the row."""
    counts = np.asarray(confusion)  # (K, K)
    size = min(4.0 + 0.25 * len(class_names), 12.0)  # inches
    figure = _figure(size, size)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true")
    if len(class_names) <= _MAX_NAMES:
        axes.set_xticks(range(len(class_names)), class_names, rotation=60, ha="right", **_AS_IT_IS)
        axes.set_yticks(range(len(class_names)), class_names, **_AS_IT_IS)
    if len(class_names) <= _MAX_COUNTS:
        for (i, j), count in np.ndenumerate(counts):
            axes.text(j, i, str(count), ha="center", va="center", color="white" if shares[i, j] > 0.5 else "black")
    return figure


def mistakes_figure(images: Sequence[Image.Image], titles: Sequence[str]) -> "Figure":
    """The images, each below its title, in rows of four."""
    rows = -(-len(images) // _COLUMNS)
    figure = _figure(2.6 * _COLUMNS, 2.9 * rows, constrained=False)
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.02, top=1 - 0.1 / rows, wspace=0.06, hspace=0.2)
    for axes in figure.subplots(rows, _COLUMNS, squeeze=False).flat:
        axes.axis("off")
    for axes, image, title in zip(figure.axes, images, titles, strict=False):
        axes.imshow(image)
        axes.set_title(title, fontsize="small", parse_math=False)
    return figure


def plan_figure(trained: Sequence[Sequence[bool]], stage_names: Sequence[str]) -> "Figure":
    """Which stage trains in which epoch.

    Args:
        trained: Per epoch, per stage from the images up and the head last.
    """
    figure = _figure(6.0, 1.2 + 0.25 * len(stage_names))
    axes = figure.subplots()
    axes.imshow(np.asarray(trained).T, cmap="Blues", vmin=0, vmax=1.4, aspect="auto", origin="lower")
    axes.set_yticks(range(len(stage_names)), stage_names, **_AS_IT_IS)
    every = -(-len(trained) // _MAX_EPOCHS)
    shown = range(0, len(trained), every)
    axes.set_xticks(shown, [str(epoch + 1) for epoch in shown])
    axes.set(xlabel="epoch", title="filled: trains; empty: frozen")
    return figure


def _figure(width: float, height: float, *, constrained: bool = True) -> "Figure":
    from matplotlib.figure import Figure  # slow to load

    return Figure(figsize=(width, height), layout="constrained" if constrained else None)
