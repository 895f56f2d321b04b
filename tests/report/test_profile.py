"""The depth profile as a chart and as a figure: every stage, its numbers, and the freeze line in its place."""

import io
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from thawline.advisor.distance import Distances, Reading
from thawline.advisor.profile import DepthProfile, ProbeScore
from thawline.features.expected import Expected
from thawline.report.profile_chart import bar, profile_chart
from thawline.report.profile_figure import profile_figure, save_figure

NAMES = ("stem", "middle", "top")


def score(right: int) -> ProbeScore:
    return ProbeScore(right / 100, 100, 1.0)


def profile(*, distances: bool = True) -> DepthProfile:
    readings = [Reading(0.2, 0.1, 0.3), None, Reading(0.6, 0.5, 0.7)]
    return DepthProfile(
        NAMES,
        {1: [score(50), score(70), score(60)], 2: [score(55), score(65), score(60)]},
        score(80),
        Distances(readings, Reading(0.4, 0.3, 0.5)) if distances else None,
        Expected.of(0.82, 100, by="leave-one-out"),
        num_images=100,
        majority=0.3,
    )


def shown(profile: DepthProfile, freeze_line: int | None) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    console.print(profile_chart(profile, freeze_line=freeze_line))
    return console.file.getvalue().splitlines()[2:]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "drawn"), [(0.0, ""), (1.0, "████"), (0.5, "██"), (0.53125, "██▏"), (-1.0, ""), (2.0, "████")]
)
def test_a_bar_is_drawn_in_eighths(value: float, drawn: str) -> None:
    assert bar(value, width=4) == drawn


def test_every_stage_shows_its_better_grid_and_its_distance() -> None:
    lines = shown(profile(), None)
    assert [line.split()[:2] for line in lines] == [
        ["stem", "0.550"],
        ["middle", "0.700"],
        ["top", "0.600"],
        ["one", "probe"],
    ]
    assert lines[0].split()[-2] == "0.20"
    assert "-" in lines[1].split()
    assert "0.800" in lines[3]


@pytest.mark.parametrize(("freeze_line", "row"), [(0, 0), (2, 2), (3, 3)])
def test_the_freeze_line_stands_above_the_first_stage_that_trains(freeze_line: int, row: int) -> None:
    lines = shown(profile(), freeze_line)
    assert lines[row].startswith("─ ")
    assert ("nothing frozen" in lines[row]) == (freeze_line == 0)


def test_the_figure_shows_both_curves_and_the_line(tmp_path: Path) -> None:
    figure = profile_figure(profile(), freeze_line=2, title="tiny")
    axes, other = figure.axes
    curves = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}
    assert curves["probe, averages over the whole image"] == [0.5, 0.7, 0.6]
    assert curves["probe, averages over 2 x 2 cells"] == [0.55, 0.65, 0.6]
    assert curves["probe on all stages together"][0] == 0.8
    assert [patch.get_height() for patch in other.patches] == [0.2, 0.6]
    assert [line.get_xdata()[0] for line in axes.get_lines()][-1] == 2.5
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(NAMES)
    save_figure(figure, tmp_path / "figure.png")
    assert Image.open(tmp_path / "figure.png").size == (1200, 675)
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


@pytest.mark.parametrize(
    ("freeze_line", "texts"), [(0, ["frozen ", " trains"]), (3, ["frozen; only the head trains ", ""])]
)
def test_the_figure_says_what_trains(freeze_line: int, texts: list[str]) -> None:
    axes = profile_figure(profile(), freeze_line=freeze_line, title="tiny").axes[0]
    assert [text.get_text() for text in axes.texts] == texts


def test_without_distances_there_is_one_axis() -> None:
    assert len(profile_figure(profile(distances=False), freeze_line=None, title="tiny").axes) == 1
    assert all("0.20" not in line for line in shown(profile(distances=False), None))
