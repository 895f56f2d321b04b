"""Look at the images and labels of a folder or a table, and say what is wrong with them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from thawline.inspection.class_issues import class_issues, distinct_counts
from thawline.inspection.copy_issues import copies_among, copy_issues
from thawline.inspection.file_facts import Facts, read_facts
from thawline.inspection.file_issues import file_issues
from thawline.inspection.issue import ISSUE_KINDS, Issue, Kind, most_important_first
from thawline.inspection.judged_images import ModelChoice, crops_seen, seen_by
from thawline.inspection.listing import AS_IT_IS, Listing, Reading, listed
from thawline.inspection.model_issues import Probe, model_issues
from thawline.inspection.shortcut import Shortcut, shortcut_issues, shortcuts


@dataclass(frozen=True)
class Inspected:
    """What was seen.

    Attributes:
        issues: The most important first.
        probe: None where no model looked, or no label could be judged.
        shortcuts: How well properties of the files tell the classes apart; empty where classes are too small.
        notes: What the user should know, a sentence each.
    """

    listing: Listing
    facts: Facts
    issues: list[Issue]
    probe: Probe | None
    shortcuts: list[Shortcut]
    notes: list[str]

    def by_kind(self) -> list[tuple[Kind, list[Issue]]]:
        """The kinds that occur, the most important first."""
        of_kind = {kind.name: [one for one in self.issues if one.kind == kind.name] for kind in ISSUE_KINDS}
        return [(kind, of_kind[kind.name]) for kind in ISSUE_KINDS if of_kind[kind.name]]

    @property
    def num_images(self) -> int:
        """Images that some issue concerns."""
        return len({one.image for one in self.issues if one.image is not None})


def inspected(where: Path, *, model: ModelChoice | None = None, reading: Reading = AS_IT_IS) -> Inspected:
    """Inspect a folder, in any layout that data.root accepts, or a table.

    Args:
        reading: How, where there is more than one way.
        model: Looks for wrong labels and outliers; None inspects the files alone, which takes seconds.
    Raises:
        UserError: There are no images, or the model cannot be loaded.
    """
    listing = listed(where, reading)
    facts = read_facts(listing)
    copies = copies_among(listing, facts)
    seen = None
    if model is not None:
        seen = seen_by(model, listing, facts, copies.families)
        copies = copies.with_crops(listing, facts, seen.images, crops_seen(seen, listing))
        seen = replace(seen, families=copies.families[np.searchsorted(facts.images, seen.images)])
    distinct = distinct_counts(listing, facts, copies.families)
    measured = shortcuts(listing, facts, copies.families) if listing.labelled else []
    issues = [
        *file_issues(listing, facts),
        *copy_issues(listing, facts, copies),
        *class_issues(listing, distinct),
        *shortcut_issues(measured),
    ]
    notes, probe = list(listing.notes), None
    if listing.labelled and not measured:
        notes.append("classes told apart by file properties: not looked for; takes ten distinct images in two classes")
    if seen is None:
        notes.append("no model looked at the images: crops, labels and outliers are not judged")
    else:
        more, probe, why = model_issues(listing, seen, distinct)
        issues += more
        notes += why
    return Inspected(listing, facts, most_important_first(issues), probe, measured, notes)
