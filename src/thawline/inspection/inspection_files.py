"""What an inspection leaves: issues.csv, issues.json, and where they lie."""

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from thawline.inspection.inspected import Inspected
from thawline.inspection.issue import Issue, as_row
from thawline.inspection.listing import class_counts
from thawline.printable import printable
from thawline.report.place_of_report import place_of_report

INSPECTIONS_FOLDER = Path("outputs", "inspections")
ISSUES_TABLE = "issues.csv"
ISSUES_FILE = "issues.json"
INSPECTION_PAGE = "inspection.html"
ISSUE_COLUMNS = ("path", "issue", "score", "class", "detail", "suggestion")
_SCHEMA = 1


def default_place(images: Path) -> Path:
    """outputs/inspections/NAME below the current folder; NAME is that of the images, with a number where it is taken.

    An inspection of the same images again replaces the earlier one.
    """
    place = images.expanduser().resolve()
    first = INSPECTIONS_FOLDER / ((place.name if images.is_dir() else place.stem) or "images")
    return place_of_report(first, place, file=ISSUES_FILE, section="images")


def issues_csv(one: Inspected) -> bytes:
    """A row an issue, the most important first; `path` is below the folder, or empty where no single image is meant.

    Bytes of names that are no UTF-8 stay as they are, so that data.exclude recognises them.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, ISSUE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for issue in one.issues:
        writer.writerow(as_row(issue, "" if issue.image is None else str(one.listing.index.paths[issue.image])))
    return text.getvalue().encode("utf-8", errors="surrogateescape")


def issues_json(one: Inspected, *, made: str) -> str:
    """Every number of the page; `made` says when and by which version."""
    listing = one.listing
    body = {
        "schema": _SCHEMA,
        "made": made,
        "images": {
            "where": printable(listing.where.resolve()),
            "number": len(listing),
            "readable": len(one.facts.images),
            "classes": class_counts(listing) if listing.labelled else {},
            "splits": {split: len(images) for split, images in listing.index.splits().items()},
            "concerned": one.num_images,
        },
        "summary": [
            {"issue": kind.name, "number": len(issues), "title": kind.title, "next": kind.next_step}
            for kind, issues in one.by_kind()
        ],
        "probe": None if one.probe is None else asdict(one.probe),
        "shortcuts": [asdict(shortcut) for shortcut in one.shortcuts],
        "notes": one.notes,
        "issues": [_body(one, issue) for issue in one.issues],
    }
    return json.dumps(body, indent=1, allow_nan=False, ensure_ascii=False, default=_plain) + "\n"


def _body(one: Inspected, issue: Issue) -> dict[str, Any]:
    row = as_row(issue, "" if issue.image is None else one.listing.shown(issue.image))
    split = (
        {} if issue.image is None or one.listing.index.parts is None else {"split": one.listing.split_of(issue.image)}
    )
    other = {} if issue.other is None else {"other": one.listing.shown(issue.other)}
    return {**row, "score": round(issue.score, 4), **split, **other}


def _plain(value: object) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value)} in JSON")
