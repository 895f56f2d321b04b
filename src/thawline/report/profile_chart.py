"""The depth profile in the terminal: a row per stage, bars for probe accuracy and domain distance."""

from rich.table import Table
from rich.text import Text

from thawline.advisor.profile import DepthProfile, ProbeScore

_WIDTH = 13  # characters of a full bar; all fits into 80 columns
_PARTS = " ▏▎▍▌▋▊▉█"


def bar(value: float, *, width: int = _WIDTH) -> str:
    """A bar in steps of an eighth of a character; 1 has `width` characters, values are clipped to [0, 1]."""
    eighths = round(min(max(value, 0.0), 1.0) * width * 8)
    full, part = divmod(eighths, 8)
    return "█" * full + (_PARTS[part] if part else "")


def profile_chart(profile: DepthProfile, *, freeze_line: int | None) -> Table:
    """A row per stage from the images up, with a line between frozen and training stages.

    Args:
        freeze_line: Number of leading stages that stay frozen; None draws no line.
    """
    title = "Depth profile; probes judged on images that were left out"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("stage", no_wrap=True)
    table.add_column("probe accuracy (95 %)", no_wrap=True)
    table.add_column("", width=_WIDTH)
    table.add_column("distance", justify="right", no_wrap=True)
    table.add_column("0 to 1: noise", width=_WIDTH)
    for index, name in enumerate(profile.stage_names):
        if freeze_line is not None and index == freeze_line:
            table.add_row(*_freeze_row(frozen=index))
        score = profile.at(index)
        reading = profile.distances.stages[index] if profile.distances else None
        distance = (f"{reading.value:.2f}", Text(bar(reading.value), style="red")) if reading else ("-", "")
        table.add_row(name, *_accuracy(score), *distance)
    if freeze_line is not None and freeze_line == len(profile.stage_names):
        table.add_row(*_freeze_row(frozen=freeze_line))
    table.add_row("one probe of all", *_accuracy(profile.all_stages))
    return table


def _accuracy(score: ProbeScore) -> tuple[str, Text]:
    low, high = score.interval()
    return f"{score.accuracy:.3f} ({low:.2f} to {high:.2f})", Text(bar(score.accuracy), style="cyan")


def _freeze_row(*, frozen: int) -> list[Text]:
    label = "freeze line" if frozen else "nothing frozen"
    return [Text(f"─ {label}", style="bold"), Text("─" * 21, style="bold"), *([Text("")] * 3)]
