"""An inspection on a terminal: what is wrong, the most important first, each with what to do next."""

from rich.console import Group, RenderableType
from rich.text import Text

from thawline.inspection.file_issues import shown_reason
from thawline.inspection.inspected import Inspected
from thawline.inspection.listing import about


def summary(one: Inspected) -> RenderableType:
    """A few lines; names are shown as text, not as markup."""
    lines = [Text(about(one.listing))]
    for kind, issues in one.by_kind():
        lines.append(Text.assemble((f"{kind.title}: {len(issues):,}", "bold")))
        more = ", ..." if len(issues) > 1 else ""
        lines.append(Text(f"    {shown_reason(one.listing, issues[0])}{more}", style="dim"))
        lines.append(Text(f"    -> {kind.next_step}", style="cyan"))
    if one.probe is not None:
        lines.append(Text(one.probe.text(), style="dim"))
    lines += [Text(f"note: {note}", style="dim") for note in one.notes]
    return Group(*lines, Text(_total(one)))


def _total(one: Inspected) -> str:
    if not one.issues:
        return "no issues were seen"
    number = len(one.issues)
    issues = f"{number:,} {'issue' if number == 1 else 'issues'}"
    return f"{issues}; they concern {one.num_images:,} of {len(one.listing):,} images. Nothing was changed."
