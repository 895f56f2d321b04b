"""The advice in the terminal: what to run, what to expect of it, and why."""

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from thawline.advisor.options import overrides
from thawline.advisor.recommend import Choice, Recommendation


def advice_panel(found: Recommendation) -> Panel:
    """One screen: the choices as a table, then the reasons."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("option", no_wrap=True)
    for name in ("expected accuracy", "time", "memory"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("recommended", *_cells(found.best), style="bold")
    if found.runner_up is not None:
        table.add_row("runner-up" if found.sure else "or this one", *_cells(found.runner_up))
    for choice in found.others:
        table.add_row("", *_cells(choice), style="dim")
    reasons = [Text(f"- {reason}") for reason in found.reasons]
    return Panel(
        Group(table, Text(), *reasons), title=f"Advice: {found.cell}", title_align="left", expand=False, width=100
    )


def next_command(found: Recommendation, data: str) -> str:
    """What to type: plain lines that can be copied, however long.

    Args:
        data: The overrides that choose data and model.
    """
    lines = [_command(found.best, data)]
    if found.runner_up is not None and not found.sure:
        lines.append(_command(found.runner_up, data))
    return "\n".join(lines)


def _command(choice: Choice, data: str) -> str:
    return " ".join(
        ["run     python train.py", data, *overrides(choice.option, rate=choice.rate, epochs=choice.epochs)]
    )


def _cells(choice: Choice) -> tuple[str, str, str, str]:
    low, high = choice.expected.interval()
    seconds = choice.price.seconds
    shown = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return (
        choice.option.name,
        f"{choice.expected.accuracy:.3f} ({low:.2f} to {high:.2f})",
        shown,
        f"{choice.price.memory_bytes / 1e9:.1f} GB",
    )
