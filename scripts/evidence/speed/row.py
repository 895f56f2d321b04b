"""One line of the table: the numbers of both sides, one per repeat, and what was to be reached."""

import statistics
from dataclasses import dataclass, field
from typing import Literal

# How two numbers of one repeat become a gain:
#   less, more   times as good, where the smaller or the larger number is the better one
#   share        Thawline's number as a share of the other
#   difference   Thawline's number minus the other
Compare = Literal["less", "more", "share", "difference"]


@dataclass(frozen=True)
class Row:
    """What was measured.

    Attributes:
        unit: `s`, `images/s`, `bytes`, or `accuracy` (a share of images).
        thawline, baseline: One number per repeat, in the same order; no baseline where there is nothing to compare.
        baseline_name: What the baseline is, where it is not plain Lightning.
        goal: The least gain that is wanted; None where none is.
        limit: The largest number that is wanted of Thawline itself, where there is no baseline.
        process_s: Side -> seconds that the whole process took, imports and set-up and test included, one per repeat.
        note: What a reader of this row must know, in a few words.
    """

    label: str
    unit: str
    compare: Compare
    thawline: list[float]
    baseline: list[float] = field(default_factory=list)
    baseline_name: str = ""
    goal: float | None = None
    limit: float | None = None
    process_s: dict[str, list[float]] = field(default_factory=dict)
    note: str = ""

    @property
    def gains(self) -> list[float]:
        """One gain per repeat: each of Thawline's numbers against the one measured beside it."""
        if not self.baseline:
            return []
        return [gain(b, t, compare=self.compare) for b, t in zip(self.baseline, self.thawline, strict=True)]

    @property
    def reached(self) -> bool | None:
        """Whether the median is as wanted; None where nothing is wanted, or nothing can be compared."""
        if self.limit is not None:
            return statistics.median(self.thawline) <= self.limit
        if self.goal is None or not self.gains:
            return None
        return statistics.median(self.gains) >= self.goal


def gain(baseline: float, thawline: float, *, compare: Compare) -> float:
    """One pair of numbers as a gain; infinite where Thawline needs nothing at all."""
    if compare == "difference":
        return thawline - baseline
    if compare == "less":
        return baseline / thawline if thawline else float("inf")
    if compare in ("more", "share"):
        return thawline / baseline
    raise ValueError(f"compare={compare}: allowed are less, more, share, difference")
