"""The advice in the terminal: what to run, what to expect, and why."""

import re
import shlex
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from thawline.advisor.choices import Choice, Recommendation, allows
from thawline.invocation import typed
from thawline.settings.advise_settings import BudgetSettings
from thawline.whole_table import WholeTable

_HOW_TO_READ = (
    "Expected accuracy: of images that were left out, one by one; the interval holds that of the test images with a "
    "probability of 0.8. "
    "What a blend gains over its stack, only a run tells: scenario=auto makes both, and keeps the better."
)
# Overrides of the advice that a run does not take: settings of the advice, and the scenario, which the advice replaces.
_ADVICE_ONLY = re.compile(r"\+*(advise|budget)\.|scenario=")


def advice_panel(advice: Recommendation, reasons: list[str], *, budget: BudgetSettings) -> Panel:
    """One screen: the choices as a table, then the reasons."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("strategy", no_wrap=True)
    for name in ("rate", "epochs", "expected accuracy", "time", "memory"):
        table.add_column(name, justify="right", no_wrap=True)
    for choice in advice.choices:
        best = choice is advice.best
        role = "run" if best else "" if allows(budget, choice.price) else "beyond"
        table.add_row(role, *_cells(choice), style="bold" if best else "dim")
    title = f"Advice; cell of the matrix: {advice.cell}"
    lines = [Text(f"- {reason}") for reason in reasons]
    parts: list[RenderableType] = [WholeTable(table), Text(), Text(_HOW_TO_READ, style="dim"), Text(), *lines]
    return Panel(Group(*parts), title=title, title_align="left", expand=False, width=100)


def commands(advice: Recommendation, overrides: Sequence[str]) -> list[str]:
    """Command lines: the recommended strategy alone, and the run that tries one after the other and keeps the best.

    Args:
        overrides: Those of the command line that asked for the advice; they choose data and model.
    """
    size, side = advice.cell.split("_")
    scenario = [f"scenario=large_{side}", "trainer=default"] if size == "large" else [f"scenario=small_{side}"]
    kept = [shlex.quote(override) for override in overrides if not _ADVICE_ONLY.match(override)]
    return [
        " ".join([typed("train"), *scenario, *kept, *advice.best.overrides]),
        " ".join([typed("train"), "scenario=auto", *kept]),
    ]


def next_steps(commands: Sequence[str]) -> str:
    """`commands` as plain lines to copy."""
    alone, anytime = commands
    return f"run     {alone}\nor      {anytime}   # the best within budget.minutes"


def _cells(choice: Choice) -> tuple[str, ...]:
    expected, seconds = choice.expected, choice.price.seconds
    return (
        choice.name,
        f"{choice.rate:g}" if choice.rate else "-",
        str(choice.epochs or "-"),
        f"{expected.accuracy:.3f} ({expected.low:.2f} to {expected.high:.2f})" if expected else "a run tells",
        f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min",
        f"{choice.price.memory_bytes / 1e9:.1f} GB",
    )
