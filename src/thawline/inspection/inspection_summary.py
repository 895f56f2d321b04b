"""An inspection on a terminal: what is wrong, the most important first, each with what to do next."""

import shlex
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from thawline.amounts import plural
from thawline.data.sources.excluded import KEEPS
from thawline.inspection.file_issues import shown_reason
from thawline.inspection.inspected import Inspected
from thawline.inspection.issue import with_table
from thawline.inspection.listing import about
from thawline.invocation import TRAIN, typed
from thawline.printable import printable


def summary(one: Inspected, *, table: Path) -> RenderableType:
    """A few lines; names are shown as text, not as markup.

    Args:
        table: Where issues.csv is written.
    """
    lines = [Text(about(one.listing))]
    for kind, issues in one.by_kind():
        lines.append(Text.assemble((f"{kind.title}: {len(issues):,}", "bold")))
        lines.append(Text(f"    {shown_reason(one.listing, issues[0])}", style="dim"))
        if len(issues) > 1:
            lines.append(Text(f"    and {len(issues) - 1:,} more, below this one in {table.name}", style="dim"))
        lines.append(Text(f"    -> {with_table(kind.next_step, table)}", style="cyan"))
    if one.probe is not None:
        lines.append(Text(one.probe.text(), style="dim"))
    lines += [Text(f"note: {note}", style="dim") for note in one.notes]
    return Group(*lines, Text(_total(one)))


def _total(one: Inspected) -> str:
    if not one.issues:
        return "no issues were seen"
    concerned = f"{one.num_images:,} of {plural(len(one.listing), 'image')}"
    return f"{plural(len(one.issues), 'issue')}, in {concerned}. Nothing was changed."


def training_command(one: Inspected, *, table: Path) -> str:
    """What trains on these images; without those that stand in issues.csv, where it says to leave any out."""
    where = one.listing.where
    of = ["data=table", f"data.file={where}"] if where.is_file() else ["data=folder", f"data.root={where}"]
    leaves_out = any(issue.image is not None and issue.kind not in KEEPS for issue in one.issues)
    exclude = [f"data.exclude={table}"] if leaves_out else []
    return " ".join(
        [typed(TRAIN), "scenario=auto", *(shlex.quote(printable(part)) for part in (*of, *one.listing.words, *exclude))]
    )
