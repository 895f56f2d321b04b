"""Section `data`, as far as every source shares it: splits, batches, random views."""

from dataclasses import dataclass, field
from typing import Any

from thawline.errors import UserError
from thawline.settings.checks import between, one_of


@dataclass
class AugmentSettings:
    """Random views of a training image. The defaults of `min_scale=1` and no flips make the transform deterministic.

    Attributes:
        enabled: False shows the same view of an image in every epoch. A run resolves "auto" by `with_views`.
    """

    enabled: Any = "auto"
    min_scale: float = 1.0  # smallest share of the image's area that a crop keeps
    hflip: bool = False
    vflip: bool = False
    color: float = 0.0  # largest relative change of brightness, contrast and saturation
    rand_ops: int = 0  # operations of RandAugment on each image
    rand_magnitude: int = 9  # of RandAugment, from 0 to 30

    def __post_init__(self) -> None:
        if self.enabled not in (True, False, "auto"):
            raise UserError(f"data.augment.enabled={self.enabled}: allowed are auto, true, false")
        between("data.augment.rand_ops", self.rand_ops, 0, 16)
        between("data.augment.rand_magnitude", self.rand_magnitude, 0, 30)
        between("data.augment.min_scale", self.min_scale, 0.01, 1.0)
        between("data.augment.color", self.color, 0.0, 1.0)

    @property
    def is_random(self) -> bool:
        """Whether an image looks different every time."""
        plain = AugmentSettings(self.enabled, rand_magnitude=self.rand_magnitude)  # a strength of no operations
        return self.enabled is not False and self != plain


@dataclass
class LoaderSettings:
    """Splits, batches and workers. `num_workers` None takes what `machine/decisions.py` decides."""

    batch_size: int = 32
    num_workers: int | None = None
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    split_seed: int = 0
    fit: str = "crop"  # of an image that is not square: crop its centre, pad it, or squash it
    decoded_side: Any = "auto"  # pixels that the shorter side of a large JPEG keeps; full; auto: twice the resized
    keep_decoded: Any = "auto"  # true, false, or auto: a quarter of the free memory, else a temporary file
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    def __post_init__(self) -> None:
        between("data.batch_size", self.batch_size, 1, 65536)
        between("data.num_workers", self.num_workers or 0, 0, 256)
        between("data.val_fraction", self.val_fraction, 0.01, 0.9)
        between("data.test_fraction", self.test_fraction, 0.01, 0.9)
        between("data.split_seed", self.split_seed, 0, 2**32 - 1)
        one_of("data.fit", self.fit, ("crop", "pad", "squash"))
        if self.decoded_side not in ("auto", "full"):
            if type(self.decoded_side) is not int:
                raise UserError(f"data.decoded_side={self.decoded_side}: allowed are auto, full, or a number of pixels")
            between("data.decoded_side", self.decoded_side, 1, 65535)
        if self.keep_decoded not in (True, False, "auto"):
            raise UserError(f"data.keep_decoded={self.keep_decoded}: allowed are auto, true, false")
        if self.val_fraction + self.test_fraction > 0.95:
            raise UserError(
                f"data.val_fraction={self.val_fraction} and data.test_fraction={self.test_fraction} "
                "leave nothing to train on; their sum may be 0.95 at most"
            )
