"""A comparison as a table: in the terminal, as Markdown, as CSV."""

import csv
import io
import math
import textwrap
from collections.abc import Callable, Sequence

from rich.markup import escape
from rich.table import Table

from thawline.markdown import markdown_table
from thawline.report.comparison import COSTS, Comparison, Row

LEGEND = "* no other group is cheaper and as good. - not measured: what is solved for has no training steps to count."
PROOF = {True: "verified", False: "BROKEN", None: "not checked"}
_NAME_WIDTH = 30  # characters; longer names take several lines
_COSTS: dict[str, tuple[str, Callable[[float], str]]] = {  # heading, and format of a value
    "wall_s": ("total, s", lambda value: f"{value:.1f}"),
    "fit_s": ("fit, s", lambda value: f"{value:.1f}"),
    "train_flops": ("TFLOP", lambda value: f"{value / 1e12:.3g}"),
    "peak_memory_bytes": ("GB", lambda value: f"{value / 1e9:.1f}"),
}


def columns(comparison: Comparison) -> list[str]:
    against = [f"against {comparison.baseline}"] if comparison.baseline else []
    balanced = ["balanced"] if _shows_balanced(comparison) else []
    return [
        "runs of",
        "seeds",
        comparison.metric,
        *balanced,
        *against,
        "trained",
        *(_COSTS[name][0] for name in COSTS),
        "frozen",
    ]


def cells(comparison: Comparison, row: Row) -> list[str]:
    """The texts of a row, one per heading. A cost has a star if the group is on its Pareto front."""
    against = [row.difference.text(signed=True) if row.difference else "-"] if comparison.baseline else []
    params = row.group.runs[0].record.params
    share = f"{params.trainable / params.total:.1%}" if params.total else "-"
    costs = [_cost(row, name) for name in COSTS]
    balanced = [row.balanced.text() if row.balanced else "-"] if _shows_balanced(comparison) else []
    scores = [row.score.text(), *balanced, *against]
    return [row.group.name, str(len(row.group.runs)), *scores, share, *costs, PROOF[row.verified]]


def _shows_balanced(comparison: Comparison) -> bool:
    """The balanced accuracy stands beside another score where the classes differ in size."""
    return any(row.balanced for row in comparison.rows)


def _cost(row: Row, name: str) -> str:
    value = row.costs[name]
    return "-" if math.isnan(value) else _COSTS[name][1](value) + ("*" if name in row.efficient else "")


def terminal_tables(comparison: Comparison) -> list[Table]:
    """The table without its last column, which `proof_line` sums up; and one for 80 columns, without the whole time."""
    return [_terminal_table(comparison, leave_out=()), _terminal_table(comparison, leave_out=("total, s",))]


def _terminal_table(comparison: Comparison, *, leave_out: Sequence[str]) -> Table:
    headings = columns(comparison)[:-1]
    kept = [place for place, heading in enumerate(headings) if heading not in leave_out]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("runs of", no_wrap=True)  # in a narrow terminal the other columns wrap instead
    for place in kept[1:]:
        table.add_column(headings[place], overflow="fold", justify="right")
    for row in comparison.rows:
        texts = cells(comparison, row)
        name, *others = (texts[place] for place in kept)
        style = "bold" if row is comparison.rows[0] else ""
        table.add_row(escape(textwrap.fill(name, _NAME_WIDTH)), *others, style=style)
    return table


def proof_line(comparisons: Sequence[Comparison]) -> str:
    """One line that says whether the frozen stages were verified in every run."""
    rows = [row for comparison in comparisons for row in comparison.rows]
    exceptions = [f"{row.group.name}: {PROOF[row.verified]}" for row in rows if row.verified is not True]
    return f"frozen: {'; '.join(exceptions) or 'verified in every run'}"


def markdown(comparisons: Sequence[Comparison]) -> str:
    """A table in GitHub's Markdown for each comparison; with headings if there are several."""
    tables = []
    for comparison in comparisons:
        table = markdown_table(columns(comparison), [cells(comparison, row) for row in comparison.rows])
        tables.append(f"### {comparison.data}\n\n{table}\n" if len(comparisons) > 1 else f"{table}\n")
    return "\n".join(tables)


def csv_text(comparisons: Sequence[Comparison]) -> str:
    """One line per group, with all digits and in the units of run.json."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    bounds, metric = ("mean", "low", "high"), comparisons[0].metric
    writer.writerow(
        ["data", "group", "num_seeds", *(f"{metric}_{b}" for b in bounds), *(f"difference_{b}" for b in bounds),
         *COSTS, *(f"pareto_{name}" for name in COSTS), "verified", "folders"]
    )  # fmt: skip
    for comparison in comparisons:
        writer.writerows(_csv_row(comparison, row) for row in comparison.rows)
    return text.getvalue()


def _csv_row(comparison: Comparison, row: Row) -> list[object]:
    difference, score = row.difference, row.score
    return [
        comparison.data, row.group.name, len(row.group.runs), score.mean, score.low, score.high,
        *([difference.mean, difference.low, difference.high] if difference else [None] * 3),
        *(None if math.isnan(value) else value for value in row.costs.values()),
        *(name in row.efficient for name in COSTS), row.verified,
        " ".join(str(run.folder) for run in row.group.runs),
    ]  # fmt: skip
