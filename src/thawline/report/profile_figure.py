"""The depth profile as a figure: probe accuracy and domain distance along the depth axis, with the freeze line."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from thawline.advisor.profile import GRIDS, DepthProfile
from thawline.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ACCURACY = {1: "#1b6ca8", 2: "#0a9396"}  # grid -> colour
_DISTANCE = "#c8553d"
_LINE = "#333333"
_SIZE = (8.0, 4.5)  # inches


def profile_figure(profile: DepthProfile, *, freeze_line: int | None, title: str) -> "Figure":
    """Draw the profile; `freeze_line` is the number of leading stages that stay frozen, None draws no line."""
    from matplotlib.figure import Figure  # slow to load

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    stages = range(1, len(profile.stage_names) + 1)
    for grid in GRIDS:
        _draw_probes(axes, profile, grid, stages)
    axes.axhline(
        profile.all_stages.accuracy, color=_ACCURACY[GRIDS[-1]], ls="--", lw=1, label="probe on all stages together"
    )
    axes.axhline(profile.majority, color="grey", ls=":", lw=1, label="largest class")
    axes.set(xticks=list(stages), ylabel="accuracy of a linear probe", xlim=(0.5, len(stages) + 0.6))
    axes.set_title(title, parse_math=False)  # a name with two $ is no formula
    axes.set_xticklabels(profile.stage_names, rotation=30, ha="right")
    axes.set_ylim(top=1.0)
    _draw_distances(axes, profile)
    if freeze_line is not None:
        axes.axvline(freeze_line + 0.5, color=_LINE, lw=2)
        _annotate(axes, freeze_line, num_stages=len(stages))
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    return figure


def _annotate(axes: Any, freeze_line: int, *, num_stages: int) -> None:
    left, right = ("frozen ", " trains") if freeze_line < num_stages else ("frozen; only the head trains ", "")
    for text, side in ((left, "right"), (right, "left")):
        place = (freeze_line + 0.5, 1.0)
        axes.annotate(text, place, xycoords=("data", "axes fraction"), va="top", ha=side, color=_LINE)


def _draw_probes(axes: Any, profile: DepthProfile, grid: int, stages: range) -> None:
    scores = profile.probes[grid]
    cells = "the whole image" if grid == 1 else f"{grid} x {grid} cells"
    axes.plot(stages, [s.accuracy for s in scores], "o-", color=_ACCURACY[grid], label=f"probe, averages over {cells}")
    low, high = zip(*(score.interval() for score in scores), strict=True)
    axes.fill_between(stages, low, high, color=_ACCURACY[grid], alpha=0.15, lw=0)  # 95 %


def _draw_distances(axes: Any, profile: DepthProfile) -> None:
    if profile.distances is None:
        return
    other = axes.twinx()
    readings = {number: reading for number, reading in enumerate(profile.distances.stages, start=1) if reading}
    places, values = list(readings), [reading.value for reading in readings.values()]
    other.bar(places, values, width=0.5, color=_DISTANCE, alpha=0.25, zorder=0, label="domain distance (right)")
    other.axhline(1.0, color=_DISTANCE, ls=":", lw=1, label="noise (right)")
    spread = [(max(0.0, r.value - r.low), max(0.0, r.high - r.value)) for r in readings.values()]
    other.errorbar(places, values, yerr=list(zip(*spread, strict=True)), fmt="none", ecolor=_DISTANCE)
    other.set_ylabel("domain distance (0 source, 1 noise)", color=_DISTANCE)
    other.tick_params(axis="y", colors=_DISTANCE)
    other.set_ylim(0, 1.1 * max(1.0, *(reading.high for reading in readings.values())))
    axes.set_zorder(other.get_zorder() + 1)
    axes.patch.set_visible(False)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a PNG; a reader sees the old file or the new one."""
    with replacing(path) as part:
        figure.savefig(part, dpi=150, format="png")
