"""Rows of a split for a stacked head, as sums and a few of the rows: for any number of images."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from thawline.features.fold_sums import RowFacts, add_rows, no_sums
from thawline.features.left_out import Targets
from thawline.features.readout import Readout
from thawline.features.ridge_probe import refuse_not_finite, scaled_rows
from thawline.features.stack import FOLDS, Stack, probe_taps, refitted, stack_of
from thawline.features.sums_probe import Coordinates, SumsProbe
from thawline.settings.select_setting import AUTO

# Rows whose products are added up together; chosen: each adds to five matrices of 768 x 768 of every wide probe, which
# takes as long as 100 rows' products.
_BLOCK = 512


@dataclass(frozen=True)
class KeptRows:
    """Rows that are kept: they set what is free.

    Attributes:
        features: (S, D), as a readout lays them out.
        folds: Of each in the sums, (S,).
        images: Index of each in the source, (S,).
    """

    features: Tensor
    targets: Targets
    folds: Tensor
    images: Tensor

    def with_others(self, others: "KeptRows") -> "KeptRows":
        """These and others, which share no group with them."""
        features, folds, images = (
            torch.cat([getattr(part, key) for part in (self, others)]) for key in ("features", "folds", "images")
        )
        return KeptRows(features, self.targets.with_others(others.targets), folds, images)


@dataclass(frozen=True)
class StackSums:
    """In place of `StackRows`: what they answer, from sums.

    Attributes:
        reads: Of every probe.
        sums: For one part of the rows after the other, of every probe's coordinates, (F, R + 1, R + 1 + K) each; they
            are added when a probe is solved for, as all of them at once take much memory.
        kept: Some of the rows.
        num_groups: Number of distinct images.
        select: By which score probes are best; see `stack_of`.
    """

    readout: Readout
    reads: tuple[Coordinates, ...]
    sums: tuple[tuple[Tensor, ...], ...]
    kept: KeptRows
    num_groups: int
    select: str = AUTO

    @property
    def num_left_out(self) -> int:
        """Number of distinct images that are scored by fits without them."""
        return len(torch.unique(self.kept.targets.groups))

    @property
    def left_out_by(self) -> str:
        """How they are left out."""
        return f"{FOLDS} folds"

    def with_others(self, others: "StackSums") -> "StackSums":
        """These and others, as rows of one split."""
        return replace(
            self,
            sums=(*self.sums, *others.sums),
            kept=self.kept.with_others(others.kept),
            num_groups=self.num_groups + others.num_groups,
        )

    def refitted(self, stack: Stack) -> Stack:
        """A stack of other rows, with its probes fitted on these."""
        return refitted(stack, self._probes())

    def solved(self, *, judges: "StackSums | None" = None) -> Stack:
        """The stack of these rows; the kept ones of `judges` set what is free, by default these, left out by folds."""
        if judges is None:
            return stack_of(self._probes(), self.kept.targets, select=self.select)
        rows = judges.readout.split(judges.kept.features)
        return stack_of(self._probes(), judges.kept.targets, rows=rows, select=self.select)

    def _probes(self) -> Iterator[SumsProbe]:
        kept = self.readout.split(self.kept.features)
        for reads, *parts in zip(self.reads, *self.sums, strict=True):
            yield SumsProbe(reads, sum(parts[1:], start=parts[0]), kept=kept, folds=self.kept.folds)


def coordinates_of(readout: Readout, kept: KeptRows) -> tuple[Coordinates, ...]:
    """What every probe of a stack reads, by rows that stand for all.

    Raises:
        UserError: A feature is not finite.
    """
    rows = scaled_rows(readout.split(kept.features), kept.targets)
    return tuple(Coordinates.of({tap: rows[tap] for tap in taps}) for taps in probe_taps(readout.taps))


class SumsOfRows:
    """Adds up the rows of a split, batch by batch."""

    def __init__(self, readout: Readout, reads: tuple[Coordinates, ...], *, num_classes: int) -> None:
        self._readout, self._reads = readout, reads
        self._sums = tuple(no_sums(of.width, num_folds=FOLDS, num_classes=num_classes) for of in reads)
        self._pending: list[Tensor] = []
        self._facts: list[RowFacts] = []

    def add(self, features: Tensor, facts: RowFacts) -> None:
        """Rows (N, D), as the readout lays them out; they are added in blocks.

        Raises:
            UserError: A feature is not finite.
        """
        self._pending.append(features)
        self._facts.append(facts)
        if sum(map(len, self._facts)) >= _BLOCK:
            self._flush()

    @property
    def sums(self) -> tuple[Tensor, ...]:
        """Of every probe's coordinates, of all rows so far."""
        self._flush()
        return self._sums

    def _flush(self) -> None:
        if not self._facts:
            return
        rows = self._readout.split(torch.cat(self._pending))
        refuse_not_finite(rows)
        facts = RowFacts.joined(self._facts)
        self._pending, self._facts = [], []
        for reads, sums in zip(self._reads, self._sums, strict=True):
            add_rows(sums, reads(rows), facts)
