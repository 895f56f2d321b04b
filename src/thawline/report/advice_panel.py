"""The advice in the terminal: what to run, what to expect of it, and why."""

import shlex
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from thawline.advisor.options import overrides
from thawline.advisor.recommend import Choice, Recommendation, allows
from thawline.advisor.settings import BudgetSettings

_HOW_TO_READ = (
    "Expected accuracy on many test images, with bounds that held in about four of five cases on new tasks: the "
    "probes', moved by what each option gained there; it may lie below a probe. Rate: of the stages that train; - is "
    "solved for."
)


def advice_panel(found: Recommendation, reasons: list[str], *, budget: BudgetSettings) -> Panel:
    """One screen: the choices as a table, then the reasons."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("option", no_wrap=True)
    for name in ("rate", "epochs", "expected accuracy", "time", "memory"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("best", *_cells(found.best), style="bold")
    for choice in found.choices[1:]:
        role = _role(choice, found, budget)
        table.add_row(role, *_cells(choice), style="" if role in ("next", "or") else "dim")
    title = f"Advice; cell of the matrix: {found.cell}"
    told = [Text(f"- {reason}") for reason in reasons]
    parts: list[RenderableType] = [table, Text(), Text(_HOW_TO_READ, style="dim"), Text(), *told]
    return Panel(Group(*parts), title=title, title_align="left", expand=False, width=100)


def next_command(found: Recommendation, data: Sequence[str]) -> str:
    """What to type: plain lines that can be copied, however long.

    Args:
        data: The overrides that choose data and model.
    """
    lines = [_command(found.best, data)]
    if found.second is not None:
        lines.append(_command(found.second, data))
        lines.append("compare python scripts/compare.py outputs   # and keep the one with the higher val/accuracy")
    return "\n".join(lines)


def _role(choice: Choice, found: Recommendation, budget: BudgetSettings) -> str:
    if choice is found.second:
        return "or"
    if choice is found.runner_up:
        return "next"
    return "" if allows(budget, choice.price) else "over"


def _command(choice: Choice, data: Sequence[str]) -> str:
    chosen = overrides(choice.option, rate=choice.rate, epochs=choice.epochs)
    return " ".join(["run     python train.py", *(shlex.quote(override) for override in data), *chosen])


def _cells(choice: Choice) -> tuple[str, ...]:
    low, high = choice.expected.interval()
    seconds = choice.price.seconds
    return (
        choice.option.name,
        f"{choice.rate:g}" if choice.rate else "-",
        str(choice.epochs or "-"),
        f"{choice.expected.accuracy:.3f} ({low:.2f} to {high:.2f})",
        f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min",
        f"{choice.price.memory_bytes / 1e9:.1f} GB",
    )
