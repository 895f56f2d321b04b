"""A comparison as a table: in the terminal, as Markdown, as CSV."""

import csv
import io
from collections.abc import Callable

from rich.table import Table

from thawline.report.comparison import COSTS, Comparison, Row

_SHORT = {"fit_s": "time", "train_flops": "compute", "peak_memory_bytes": "memory"}
_UNITS: dict[str, Callable[[float], str]] = {
    "fit_s": lambda value: f"{value:.1f} s",
    "train_flops": lambda value: f"{value / 1e12:.3g} TFLOP",
    "peak_memory_bytes": lambda value: f"{value / 1e9:.1f} GB",
}


def columns(comparison: Comparison) -> list[str]:
    """Headings."""
    against = [f"against {comparison.baseline}"] if comparison.baseline else []
    return ["runs of", "seeds", comparison.metric, *against, "trained", *_SHORT.values(), "not dominated in", "frozen"]


def cells(comparison: Comparison, row: Row) -> list[str]:
    """What a row says, one text per heading."""
    against = [row.difference.text(signed=True) if row.difference else "-"] if comparison.baseline else []
    params = row.group.runs[0].record.params
    share = f"{params['trainable'] / params['total']:.1%}" if params.get("total") else "-"
    efficient = ", ".join(_SHORT[name] for name in COSTS if name in row.efficient)
    proof = {True: "verified", False: "BROKEN", None: "not checked"}[row.verified]
    costs = [_UNITS[name](row.costs[name]) for name in COSTS]
    return [
        row.group.name,
        str(len(row.group.runs)),
        row.score.text(),
        *against,
        share,
        *costs,
        efficient or "-",
        proof,
    ]


def terminal_table(comparison: Comparison) -> Table:
    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(columns(comparison)):
        table.add_column(name, overflow="fold", justify="left" if number == 0 else "right")
    for row in comparison.rows:
        table.add_row(*cells(comparison, row), style="bold" if row is comparison.rows[0] else "")
    return table


def markdown(comparison: Comparison) -> str:
    """A table of GitHub's Markdown."""
    heads = columns(comparison)
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *(cells(comparison, row) for row in comparison.rows)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def csv_text(comparison: Comparison) -> str:
    """One line per group, numbers in full and in the units of run.json."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    bounds = ("mean", "low", "high")
    writer.writerow(
        ["group", "num_seeds", *(f"{comparison.metric}_{b}" for b in bounds), *(f"difference_{b}" for b in bounds),
         *COSTS, *(f"pareto_{name}" for name in COSTS), "verified", "folders"]
    )  # fmt: skip
    for row in comparison.rows:
        difference = [getattr(row.difference, b) for b in bounds] if row.difference else [None] * 3
        writer.writerow(
            [row.group.name, len(row.group.runs), *(getattr(row.score, b) for b in bounds), *difference,
             *(row.costs[name] for name in COSTS), *(name in row.efficient for name in COSTS), row.verified,
             " ".join(str(run.folder) for run in row.group.runs)]
        )  # fmt: skip
    return text.getvalue()
