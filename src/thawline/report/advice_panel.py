"""The advice in the terminal: what to run, what to expect, and why."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from thawline.advisor.recommend import Choice, Recommendation, allows
from thawline.invocation import typed
from thawline.report.summary import comparison
from thawline.settings.advise_settings import BudgetSettings

_HOW_TO_READ = (
    "Expected accuracy: what the probes and the pilot get here, changed as each option changed it on the tasks swept "
    "before. The bounds held in about three of four new tasks for the best option. Rate: of the stages that train; "
    "- is solved for. next: the second highest; or: run this too; over: beyond the budget."
)
# Overrides of the advice that a run does not take: settings of the advice, and the scenario, which the advice replaces.
_ADVICE_ONLY = re.compile(r"\+*(advise|budget)\.|scenario=")


def advice_panel(advice: Recommendation, reasons: list[str], *, budget: BudgetSettings) -> Panel:
    """One screen: the choices as a table, then the reasons."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("option", no_wrap=True)
    for name in ("rate", "epochs", "expected accuracy", "time", "memory"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("best", *_cells(advice.best), style="bold")
    for choice in advice.choices[1:]:
        role = _role(choice, advice, budget)
        table.add_row(role, *_cells(choice), style="" if role in ("next", "or") else "dim")
    title = f"Advice; cell of the matrix: {advice.cell}"
    lines = [Text(f"- {reason}") for reason in reasons]
    parts: list[RenderableType] = [table, Text(), Text(_HOW_TO_READ, style="dim"), Text(), *lines]
    return Panel(Group(*parts), title=title, title_align="left", expand=False, width=100)


def commands(advice: Recommendation, overrides: Sequence[str]) -> list[str]:
    """Command lines for the recommended option, and for the second one if the advice is not sure.

    Args:
        overrides: Those of the command line that asked for the advice; they choose data and model.
    """
    size, side = advice.cell.split("_")
    scenario = [f"scenario=large_{side}", "trainer=default"] if size == "large" else [f"scenario=small_{side}"]
    kept = [shlex.quote(override) for override in overrides if not _ADVICE_ONLY.match(override)]
    choices = [choice for choice in (advice.best, advice.second) if choice is not None]
    return [" ".join([typed("train"), *scenario, *kept, *choice.overrides]) for choice in choices]


def next_steps(commands: Sequence[str], log_root: Path) -> str:
    """`commands` as plain lines to copy, and how to compare the runs if there are several."""
    lines = [f"run     {command}" for command in commands]
    if len(lines) > 1:
        lines.append(f"compare {comparison(log_root)}")
    return "\n".join(lines)


def _role(choice: Choice, advice: Recommendation, budget: BudgetSettings) -> str:
    if choice is advice.second:
        return "or"
    if choice is advice.runner_up:
        return "next"
    return "" if allows(budget, choice.price) else "over"


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
