"""The kinds of issues, the most important first, and one issue."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thawline.printable import printable


@dataclass(frozen=True)
class Kind:
    """A kind of issue.

    Attributes:
        name: In the column `issue` of issues.csv.
        title: What was seen, in words.
        next_step: What to do about it.
    """

    name: str
    title: str
    next_step: str


_EXCLUDE = "data.exclude=issues.csv"  # `with_table` says where it lies
_REVIEW = f"look at them, delete the rows of good ones, leave out the rest with {_EXCLUDE}"
_SOURCE = "check where they come from"
ISSUE_KINDS = (
    Kind("unreadable", "files that cannot be read", f"repair or delete them, or leave them out with {_EXCLUDE}"),
    Kind("empty_class", "classes without an image", "add images, or remove the folder"),
    Kind("label_conflict", "copies of one image in two classes", f"keep each in its right class; {_EXCLUDE} drops all"),
    Kind("leakage", "copies across splits", f"scores are too high; {_EXCLUDE} keeps only the test's copy"),
    Kind("label", "labels that look wrong", _REVIEW),
    Kind("shortcut", "classes told apart by file properties", "a model may learn these; collect all classes alike"),
    Kind("small_class", "classes too small to judge", "add images; what is measured on so few says little"),
    Kind("copy", "copies inside a class", f"{_EXCLUDE} keeps one of each; data.group_by=near_copies keeps all"),
    Kind("blank", "images that show nothing", f"look at them, then leave them out with {_EXCLUDE}"),
    Kind("outlier", "images unlike all others", _REVIEW),
    Kind("imbalance", "classes of very different size", "look at the balanced accuracy, not the accuracy alone"),
    Kind("blurred", "images less sharp than the others", _REVIEW),
    Kind("dark", "images much darker than the others", _REVIEW),
    Kind("bright", "images much brighter than the others", _REVIEW),
    Kind("odd_file", "files of another kind than the others", _SOURCE),
    Kind("odd_size", "images of another size than the others", _SOURCE),
    Kind("cropped", "images of which the centre crop drops more than a third", "data.fit=pad or data.fit=squash"),
)
KIND = {kind.name: kind for kind in ISSUE_KINDS}


def with_table(text: str, table: Path) -> str:
    """The text, with the place of issues.csv wherever it says to leave out what stands there.

    >>> with_table("data.exclude=issues.csv keeps one of each", Path("out", "issues.csv"))
    'data.exclude=out/issues.csv keeps one of each'
    """
    return text.replace(_EXCLUDE, f"data.exclude={printable(table)}")


@dataclass(frozen=True)
class Issue:
    """One issue.

    Attributes:
        kind: Name of its `Kind`.
        image: Index of the image among all that were listed; None where it concerns a class, or all.
        score: From 0 to 1; the higher, the surer or the worse.
        class_name: Of the image; empty where it concerns all.
        detail: What was seen, in words.
        suggestion: What to do about this one.
        other: Another image to look at beside it.
    """

    kind: str
    image: int | None
    score: float
    class_name: str
    detail: str
    suggestion: str
    other: int | None = None

    def __post_init__(self) -> None:
        assert self.kind in KIND, self.kind
        assert 0.0 <= self.score <= 1.0, (self.kind, self.score)


def most_important_first(issues: list[Issue]) -> list[Issue]:
    """By kind, then by score, then in the order of the images."""
    order = {kind.name: number for number, kind in enumerate(ISSUE_KINDS)}
    return sorted(issues, key=lambda one: (order[one.kind], -one.score, -1 if one.image is None else one.image))


def as_row(issue: Issue, path: str) -> dict[str, Any]:
    """The row of issues.csv; `path` is as it is on the disk."""
    return {
        "path": path,
        "issue": issue.kind,
        "score": f"{issue.score:.4f}",
        "class": issue.class_name,
        "detail": printable(issue.detail),
        "suggestion": issue.suggestion,
    }
