"""The results as Markdown."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from speed.cases import CASES
from speed.results import Results, rows_of
from speed.row import Row
from speed.step_case import step_table
from speed.words import AFTER_STEPS, BEFORE, BEFORE_STEPS, DEFINITIONS, SURPRISES
from thawline.markdown import markdown_table

_HEADS = ("case", "plain Lightning", "Thawline", "ratio", "goal", "reached", "whole process: plain / Thawline")
_MEGABYTE, _KILOBYTE = 1e6, 1e3


def render(results: Results, *, page: str) -> str:
    """The whole page; `page` is its file name without suffix, and that of the picture beside it."""
    cases = {name: results["cases"][name] for name in CASES if name in results["cases"]}
    compared = {name: case for name, case in cases.items() if case["rows"]}
    lines = ["# Speed", ""]
    if compared:
        rows = [row_cells(row) for case in compared.values() for row in rows_of(case)]
        lines += [BEFORE, "", markdown_table(_HEADS, rows, align="lrrrrcr"), ""]
        lines += [f"![The ratios of the table, and their goals]({page}.png)", ""]
    for words in (DEFINITIONS, SURPRISES.get(page, {})):
        lines += [part for name in compared if name in words for part in (words[name], "")]
    if "training_step" in cases:
        step = cases["training_step"]
        lines += ["## A training step", "", BEFORE_STEPS.format(batch=step["batch"]), ""]
        lines += [step_table(step["images_per_s"]), ""]
        lines += [] if step["machine"]["cuda"] else [AFTER_STEPS, ""]
    return "\n".join([*lines, "## Measured on", "", *machines(cases)]) + "\n"


def row_cells(row: Row) -> list[str]:
    """One row of the table."""
    reached = {True: "yes", False: "**no**", None: "-"}[row.reached]
    label = f"{row.label} ({row.note})" if row.note else row.label
    baseline = value(row.baseline, row.unit)
    if row.baseline_name:
        baseline += f" ({row.baseline_name})"
    return [label, baseline, value(row.thawline, row.unit), ratio(row), goal(row), reached, _processes(row)]


def value(numbers: Sequence[float], unit: str) -> str:
    """The median, with its unit."""
    if not numbers:
        return "-"
    median = statistics.median(numbers)
    if unit == "bytes":
        return _bytes(median)
    if unit == "accuracy":
        return f"{median:.3f}"
    return f"{median:,.{_decimals(median)}f} {unit}"


def ratio(row: Row) -> str:
    """The median of the paired gains, and where there are several, their range."""
    gains = row.gains
    if not gains:
        return "-"
    text = _gain(statistics.median(gains), row.compare)
    if len(gains) == 1:
        return text
    return f"{text} ({_gain(min(gains), row.compare)} to {_gain(max(gains), row.compare)})"


def goal(row: Row) -> str:
    """What was wanted, in the ratio's own terms."""
    if row.limit is not None:
        return f"at most {row.limit:g} {row.unit}"
    if row.goal is None:
        return "-"
    if row.compare == "difference":
        return "no worse"
    return f"at least {_gain(row.goal, row.compare, exact=True)}"


def machines(cases: dict[str, dict[str, Any]]) -> list[str]:
    """A line per machine, set of versions and day, naming the cases measured there."""
    by_place: dict[str, list[str]] = {}
    for name, case in cases.items():
        by_place.setdefault(_where(case), []).append(name)
    return [f"- {where}: {', '.join(names)}." for where, names in by_place.items()]


def _where(case: dict[str, Any]) -> str:
    machine = case["machine"]
    bf16 = "with" if machine["avx512_bf16"] else "without"
    device = f"{machine['device']}, " if machine["cuda"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    count = case["repeats"]
    repeats = f"{count} {'repeat' if count == 1 else 'repeats'}, `{case['command']}`"
    cores = f"{machine['cores']} {machine['architecture']} cores {bf16} AVX512-bf16"
    return f"{device}{cores}, {versions}, {case['date']}, {repeats}"


def _gain(number: float, compare: str, *, exact: bool = False) -> str:
    if number == math.inf:
        return "∞"
    if compare == "difference":
        return f"{number:+.3f}"
    if compare == "share":
        return f"{number:.0%}"
    return f"{number:,g}x" if exact else f"{number:,.{_decimals(number)}f}x"


def _decimals(number: float) -> int:
    """Three digits that count, at most two of them after the point."""
    return 2 if number < 10 else 1 if number < 100 else 0


def _bytes(number: float) -> str:
    scaled, unit = (number / _MEGABYTE, "MB") if number >= _MEGABYTE else (number / _KILOBYTE, "kB")
    return f"{scaled:,.{_decimals(scaled)}f} {unit}"


def _processes(row: Row) -> str:
    if not row.process_s:
        return "-"
    return f"{value(row.process_s['plain'], 's')} / {value(row.process_s['thawline'], 's')}"
