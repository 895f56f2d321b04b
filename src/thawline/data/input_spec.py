"""Size and statistics of the images that pretrained weights expect. Data code uses it without a model."""

from dataclasses import dataclass

LONGEST_KEPT = (
    1.5  # longer : shorter side, above which the square in the centre lacks more than a third; as photographs
)


@dataclass(frozen=True)
class InputSpec:
    """The images that pretrained weights expect.

    Attributes:
        size: Side in pixels.
        mean, std: Per channel, for images scaled to [0, 1].
        interpolation: `bilinear`, `bicubic` or `nearest`.
        crop_pct: Share of the resized image's side that the centre crop keeps.
        fit: How an image that is not square becomes one: `crop` its centre, `pad` it, or `squash` it.
        decoded_side: How many pixels the shorter side of a large JPEG keeps at least: "auto", see
            `transforms.decoded_side`; "full" for all; or a number.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop_pct: float
    fit: str = "crop"
    decoded_side: int | str = "auto"


# What most of timm's weights expect; its IMAGENET_DEFAULT_MEAN and _STD.
IMAGENET = InputSpec(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic", 0.875)
