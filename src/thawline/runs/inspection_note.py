"""The short inspection of the images: in the record of every run, and in the notes of the first on these images."""

import shlex

from thawline.data.sources.scanned import Scanned
from thawline.data.sources.source import ImageSource
from thawline.inspection.first_look import first_look
from thawline.inspection.inspection_files import ISSUES_TABLE, default_place
from thawline.inspection.issue import with_table
from thawline.invocation import typed
from thawline.machine.processes import is_main
from thawline.printable import printable
from thawline.report.inspection_section import InspectionSection


def inspection_of(source: ImageSource, *, state: str) -> InspectionSection:
    """Empty for images that were not read, and in all processes but the first, which tells.

    Args:
        state: Changes when any image, label or split does.
    """
    scanned = _scanned(source)
    if scanned is None or not is_main():
        return InspectionSection()
    look, first = first_look(scanned, state=state)
    notes = look.notes
    if notes and scanned.listed:
        table = default_place(scanned.listed) / ISSUES_TABLE
        notes = [with_table(note, table) for note in notes]
    return InspectionSection(look.issues, notes, first and bool(notes))


def inspection_notes(source: ImageSource, seen: InspectionSection) -> list[str]:
    """All that was seen and the next step, in the first run on the images; later the next step alone."""
    scanned = _scanned(source)
    if not seen.notes or scanned is None:
        return []
    command = f"{typed('inspect_images')} {shlex.quote(printable(scanned.listed))}" if scanned.listed else ""
    if seen.first and scanned.listed:
        table = printable(default_place(scanned.listed) / ISSUES_TABLE)
        closer = f"{command} looks closer than at these thumbs, shows the images, and writes data.exclude={table}"
        return [*seen.notes, closer]
    if seen.first:
        return seen.notes
    return [f"the first run on these images noted {', '.join(seen.issues)}" + (f"; see {command}" if command else "")]


def _scanned(source: ImageSource) -> Scanned | None:
    scanned: Scanned | None = getattr(source, "scanned", None)
    return scanned
