"""Caveats of the advice: few or small images, a backbone that no sweep covers or that has one stage."""

import numpy as np

from thawline.advisor.image_sizes import ENLARGED, short_side, smaller_size
from thawline.data.sources.source import ImageSource, IntArray
from thawline.errors import UserError
from thawline.models.backbone import Backbone

# Least number of images for a distance that can be trusted. Chosen from docs/distance.md: with 32 images its spread is
# at most 0.1 wide on every data source but one; with 8 it is up to 0.2 wide.
TRUSTED_FROM = 32
FEW_PER_CLASS = 10  # chosen: from ten images, an accuracy near 0.5 is known to 31 points (95 %)


def check_sample(labels: IntArray, *, name: str) -> None:
    """Raise `UserError` if no class has two images, because nothing can be learned from such a sample.

    Args:
        labels: Class indices of distinct images, (N,), int64.
        name: Name of the data source.
    """
    if len(labels) < 2 or np.bincount(labels).max() < 2:
        raise UserError(
            f"{name}: {len(labels)} distinct training images, never two of one class; advice needs at least two "
            "of a class: one to learn from and one to judge by; add images"
        )


def caveats(source: ImageSource, sample: IntArray, backbone: Backbone) -> list[str]:
    """The caveats that hold, as sentences."""
    notes = []
    if not backbone.pretrained:
        notes.append("The weights are random: what stays frozen was never learned. Compare with strategy=from_scratch.")
    counts = np.bincount(source.labels[sample], minlength=len(source.class_names))
    if len(sample) < TRUSTED_FROM:
        notes.append(
            f"With {len(sample)} images the distance is not to be trusted: it may be off by 0.1; {TRUSTED_FROM} are "
            "needed."
        )
    if counts.min() < FEW_PER_CLASS:
        name = source.class_names[int(counts.argmin())]
        notes.append(f"Class {name!r} has {counts.min()} of the images looked at: the accuracies here are rough.")
    side, needed = short_side(source, sample), backbone.input.size
    if side * ENLARGED <= needed:
        smaller = smaller_size(side, needed)
        way_out = f" scenario=auto tries {smaller} too, which is faster and may do as well." if smaller else ""
        notes.append(
            f"The images are small: half of them have a side of {side:.0f} pixels or less, and are enlarged to "
            f"{needed}.{way_out}"
        )
    if backbone.num_stages == 1:
        notes.append(f"{backbone.name} cannot be cut: it trains as a whole, or only the head does.")
    return notes
