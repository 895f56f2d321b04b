"""A short inspection before the first run on some images, from what reading them showed; no image is decoded for it.

Near copies, labels, sharpness and the kinds of files are left to the whole inspection. Light and border are those of
the thumbs.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from thawline.atomic import write_atomically
from thawline.data.sources.content import THUMB
from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.scanned import Scanned
from thawline.inspection.class_issues import class_issues, distinct_counts
from thawline.inspection.copy_issues import copies_among, copy_issues
from thawline.inspection.file_facts import FACTS, GREY, Facts, light_of
from thawline.inspection.file_issues import ONE_COLOUR, file_issues, shown_reason
from thawline.inspection.issue import KIND, Issue, most_important_first
from thawline.inspection.listing import Listing
from thawline.inspection.shortcut import shortcut_issues, shortcuts
from thawline.strict_json import read_json

_VERSION = 3  # raise it whenever what is looked for, or how it is said, changes
_PROBED = 1_000  # images, drawn by class; chosen: a third of a second, and the interval is 0.06 wide
_SHOWN = 3  # kinds that get a line; chosen: what comes after is less important, and the whole inspection lists it
_AT_ONCE = 4096  # thumbs turned into levels at a time, 3 MB
_RING = np.pad(np.zeros((THUMB - 2, THUMB - 2), dtype=np.bool_), 1, constant_values=True)  # outermost pixels
# What a run says in its other notes and warnings anyway; of blank images, those that are black or white.
_SAID_ELSEWHERE = {"unreadable", "label_conflict", "leakage", "imbalance", "cropped", "blank"}


@dataclass(frozen=True)
class FirstLook:
    """What was seen.

    Attributes:
        issues: Number of each kind, the most important first.
        notes: Sentences on those that a run does not say elsewhere.
    """

    issues: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def first_look(scanned: Scanned, *, state: str) -> tuple[FirstLook, bool]:
    """Look at the images, or at what is kept of an earlier look; and whether this one is the first.

    Args:
        state: Changes when any image, label or split does.
    """
    name = f"first_look-{fingerprint(_VERSION, state)}.json"
    kept = None if scanned.folder is None else scanned.folder / name
    if kept is not None and (before := _load(kept)) is not None:
        return before, False
    look = _look(scanned)
    if kept is not None:
        _save(kept, look)
    return look, True


def _load(kept: Path) -> FirstLook | None:
    """None where nothing is kept, or it is damaged."""
    try:
        body = read_json(kept)
        issues = {str(kind): int(number) for kind, number in body["issues"].items() if kind in KIND}
        return FirstLook(issues, [str(note) for note in body["notes"]])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _save(kept: Path, look: FirstLook) -> None:
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, json.dumps(vars(look)) + "\n")
    except OSError:  # told where the store of what was read is written; the next run looks again
        return


def _look(scanned: Scanned) -> FirstLook:
    listing = Listing(scanned.listed or Path(), Path(), scanned.index, labelled=True, notes=[])
    facts = _facts(scanned)
    copies = copies_among(listing, facts, near_ones=False)
    of_files = [one for one in file_issues(listing, facts) if ONE_COLOUR not in one.detail]  # so are thumbs of textures
    issues = most_important_first(
        [
            *of_files,
            *copy_issues(listing, facts, copies),
            *class_issues(listing, distinct_counts(listing, facts, copies.families)),
            *shortcut_issues(shortcuts(listing, facts, copies.families, most=_PROBED)),
        ]
    )
    return FirstLook(dict(Counter(one.kind for one in issues)), _notes(listing, issues))


def _notes(listing: Listing, issues: Sequence[Issue]) -> list[str]:
    by_kind: dict[str, list[Issue]] = {}
    for one in issues:
        if one.kind not in _SAID_ELSEWHERE:
            by_kind.setdefault(one.kind, []).append(one)
    notes = [_note(listing, name, of_kind) for name, of_kind in by_kind.items()]
    rest = ", ".join(f"{KIND[name].title} ({len(by_kind[name]):,})" for name in list(by_kind)[_SHOWN:])
    return [*notes[:_SHOWN], f"also {rest}"] if rest else notes


def _note(listing: Listing, kind: str, issues: list[Issue]) -> str:
    what, step = KIND[kind].title, KIND[kind].next_step
    if kind == "shortcut":
        return f"{what}, {', '.join(one.detail for one in issues)}; {step}"
    first = "" if len(issues) == 1 else "first "
    return f"{what}: {len(issues):,}, {first}{shown_reason(listing, issues[0])}; {step}"


def _facts(scanned: Scanned) -> Facts:
    """Of every image what reading it showed; the rest is empty."""
    content, number = scanned.content, len(scanned.index.paths)
    rows = np.zeros(number, dtype=FACTS)
    rows["digest"], rows["frames"], rows["sharpness"] = content.digests, 1, np.nan
    rows["width"], rows["height"] = content.sizes.T
    if scanned.num_bytes is not None:
        rows["bytes"] = scanned.num_bytes
    for start in range(0, number, _AT_ONCE):
        thumbs, block = content.thumbs[start : start + _AT_ONCE], rows[start : start + _AT_ONCE]
        block["contrast"] = (thumbs @ GREY).std(axis=(1, 2))
        block["brightness"], block["upper"], block["lower"] = light_of(thumbs)
        block["border"] = thumbs[:, _RING].mean(axis=1)
    return Facts(np.arange(number, dtype=np.int64), rows, content.thumbs, {})
