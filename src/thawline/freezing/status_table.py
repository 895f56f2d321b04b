"""The model's status before training: per stage its parameters, how many train, and its mode."""

from typing import Literal

from rich.table import Table

from thawline.freezing.status import StageStatus
from thawline.markdown import markdown_table


def status_table(rows: list[StageStatus]) -> Table:
    """One row per stage, from the images up, the head last."""
    table = _table("Model status", stage="left", parameters="right", trainable="right", mode="left")
    for row in rows:
        style = "bold" if row.num_trainable else "dim"
        table.add_row(row.name, f"{row.num_params:,}", f"{row.num_trainable:,}", row.mode, style=style)
    return table


def plan_table(rows: list[tuple[str, str, int]]) -> Table:
    """One row per phase of the freeze plan: epochs, what trains, parameters."""
    table = _table("Freeze plan", epochs="left", trains="left", parameters="right")
    for epochs, names, count in rows:
        table.add_row(epochs, names, f"{count:,}")
    return table


def _table(title: str, **columns: Literal["left", "right"]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name, justify in columns.items():
        table.add_column(name, justify=justify, no_wrap=justify == "right", overflow="fold")  # a number stays whole
    return table


def plan_markdown(rows: list[tuple[str, str, int]]) -> str:
    """The same table as Markdown."""
    cells = [(epochs, names, f"{count:,}") for epochs, names, count in rows]
    return markdown_table(["epochs", "trains", "parameters"], cells, align="llr")


def status_markdown(rows: list[StageStatus], line: str) -> str:
    """The same table as Markdown, with the `Trainable:` line above it."""
    cells = [(row.name, f"{row.num_params:,}", f"{row.num_trainable:,}", row.mode) for row in rows]
    table = markdown_table(["stage", "parameters", "trainable", "mode"], cells, align="lrrl")
    return f"{line}\n\n{table}"
