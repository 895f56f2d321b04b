"""One line before training where the classes differ much in size, and what to type about it."""

import shlex
from collections.abc import Sequence

import numpy as np

from thawline.amounts import plural
from thawline.invocation import typed
from thawline.runs.context import RunContext
from thawline.runs.parts import Parts
from thawline.settings.imbalance_setting import NONE, SUGGESTED_FROM, WEIGHTS


def imbalance_note(parts: Parts, context: RunContext) -> str | None:
    """A note on a new run whose classes differ in size, and whose command says nothing of it; None on any other."""
    settled = any(text.startswith(("imbalance=", "resume=")) for text in context.overrides)
    if settled or parts.settings.imbalance != NONE:
        return None
    source = parts.data.source
    counts = np.bincount(source.labels[parts.data.splits["train"]], minlength=len(source.class_names))
    command = " ".join([typed("train"), *map(shlex.quote, context.overrides), f"imbalance={WEIGHTS}"])
    return sizes_note(counts.tolist(), source.class_names, command)


def sizes_note(counts: Sequence[int], names: Sequence[str], command: str) -> str | None:
    """Of classes with so many training images; those without any do not count.

    Args:
        command: What to type.
    """
    there = [(count, name) for count, name in zip(counts, names, strict=True) if count]
    (most, largest), (fewest, smallest) = max(there, key=lambda c: c[0]), min(there, key=lambda c: c[0])
    if most < SUGGESTED_FROM * fewest:
        return None
    return (
        f"{largest} has {plural(most, 'training image')}, {smallest} {fewest:,} ({most / fewest:.3g} times): small "
        f"classes count little; to make all count alike: {command}"
    )
