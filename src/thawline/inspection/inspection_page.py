"""An inspection as one HTML page that needs no network: what is wrong, with the images to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

from thawline.data.decode import UnreadableImage, decode
from thawline.errors import named
from thawline.inspection.inspected import Inspected
from thawline.inspection.issue import Issue, Kind, with_table
from thawline.inspection.listing import about, class_counts
from thawline.printable import printable
from thawline.progress_bar import progress
from thawline.report.page_style import page_style
from thawline.report.pictures import data_uri

_SIDE = 160  # pixels of a thumbnail at most; chosen: 200 of them stay near 1 MB
_MOST_CLASSES = 50  # of the table; chosen
_LISTED = 200  # issues of a kind without pictures that are listed; chosen


@dataclass(frozen=True)
class Card:
    """An issue with its pictures, data URIs; None where the image is not there or cannot be read."""

    issue: Issue
    path: str
    picture: str | None
    other_path: str
    other: str | None


@dataclass(frozen=True)
class Gallery:
    """The issues of a kind: some with pictures, or as lines where no single image is meant."""

    kind: Kind
    number: int
    cards: Sequence[Card]
    lines: Sequence[str]


def galleries(one: Inspected, *, most: int) -> list[Gallery]:
    """Of every kind that occurs; at most `most` issues of each are shown."""
    pictures = _pictures(one, most)
    made = []
    for kind, issues in one.by_kind():
        cards = [_card(one, issue, pictures) for issue in issues[:most] if issue.image is not None]
        whole = [issue for issue in issues if issue.image is None]
        lines = [f"{issue.class_name}: {issue.detail}" if issue.class_name else issue.detail for issue in whole]
        made.append(Gallery(kind, len(issues), cards, lines[:_LISTED]))
    return made


def _pictures(one: Inspected, most: int) -> dict[int, str]:
    shown = [issue for _, issues in one.by_kind() for issue in issues[:most]]
    images = dict.fromkeys(image for issue in shown for image in (issue.image, issue.other) if image is not None)
    pictures = {}
    with progress(len(images), "thumbnails", above=0) as advance:
        for image in images:
            advance(1)
            if image in one.facts.errors:
                continue
            try:
                pictures[image] = data_uri(decode(one.listing.path(image)), side=_SIDE)
            except UnreadableImage:  # it went away meanwhile
                continue
    return pictures


def _card(one: Inspected, issue: Issue, pictures: dict[int, str]) -> Card:
    assert issue.image is not None
    other_path = "" if issue.other is None else one.listing.shown(issue.other)
    other = None if issue.other is None else pictures.get(issue.other)
    return Card(issue, one.listing.shown(issue.image), pictures.get(issue.image), other_path, other)


def inspection_page(one: Inspected, shown: Sequence[Gallery], *, table: Path, foot: str) -> str:
    """The page; `table` is the place of issues.csv, `foot` says when and by which version it was made."""
    from jinja2 import Environment  # slow to load

    template = (files("thawline.inspection") / "inspection.html.jinja").read_text(encoding="utf-8")
    counts = class_counts(one.listing) if one.listing.labelled else {}
    return Environment(autoescape=True, trim_blocks=True).from_string(template).render(
        style=page_style(),
        title=printable(one.listing.where.resolve().name),
        about=about(one.listing),
        concerned=f"{one.num_images:,}",
        number=f"{len(one.issues):,}",
        images=f"{len(one.listing):,}",
        probe=None if one.probe is None else one.probe.text(),
        shortcuts=[shortcut.text() for shortcut in one.shortcuts],
        notes=one.notes,
        galleries=shown,
        exclude=printable(table),
        step=partial(with_table, table=table),
        classes=list(counts.items())[:_MOST_CLASSES],
        more_classes=named(list(counts)[_MOST_CLASSES:]) if len(counts) > _MOST_CLASSES else "",
        largest=max(counts.values(), default=1) or 1,
        foot=foot,
    )  # fmt: skip
