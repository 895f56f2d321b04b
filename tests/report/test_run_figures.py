"""The pictures of a run can be drawn, with few and with many classes and epochs."""

import io

import numpy as np
import pytest
from PIL import Image

from thawline.report.run_figures import confusion_figure, mistakes_figure, plan_figure


def test_a_small_confusion_holds_its_numbers_and_names() -> None:
    axes = confusion_figure([[3, 1], [0, 4]], ["cat", "dog"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["3", "1", "0", "4"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "dog"]
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25], [0.0, 1.0]]


def test_a_large_confusion_is_only_shaded() -> None:
    axes = confusion_figure(np.eye(60, dtype=int).tolist(), [str(i) for i in range(60)]).axes[0]
    assert not axes.texts


def test_every_mistake_has_its_title() -> None:
    image = Image.new("RGB", (8, 8))
    figure = mistakes_figure([image] * 5, [f"title {i}" for i in range(5)])
    assert [axes.get_title() for axes in figure.axes] == [f"title {i}" for i in range(5)] + [""] * 3


@pytest.mark.parametrize(("epochs", "shown"), [(3, ["1", "2", "3"]), (30, [str(1 + 3 * i) for i in range(10)])])
def test_the_plan_shows_stages_by_epoch(epochs: int, shown: list[str]) -> None:
    axes = plan_figure([[False, True]] * epochs, ["stem", "head"]).axes[0]
    assert axes.images[0].get_array().tolist() == [[0] * epochs, [1] * epochs]
    assert [label.get_text() for label in axes.get_xticklabels()] == shown


def test_names_with_dollars_are_no_formulas() -> None:
    names = ["$0_$50", "$x^{$"]
    figures = [confusion_figure([[3, 1], [0, 4]], names), mistakes_figure([Image.new("RGB", (8, 8))], ["$a_$b"])]
    for figure in figures:
        figure.savefig(io.BytesIO(), format="png")
    assert [label.get_text() for label in figures[0].axes[0].get_xticklabels()] == names
