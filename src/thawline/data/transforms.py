"""Train and eval transforms for the input that the backbone's weights expect: PIL image -> uint8 tensor (3, S, S)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from thawline.data.input_spec import InputSpec
from thawline.data.margins import NO_MARGINS, margins_of, resized, shown
from thawline.errors import UserError
from thawline.settings.data_settings import AugmentSettings

Transform = Callable[[Image.Image], Tensor]
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
_ELONGATED = 4  # height : width; chosen: up to here the resized image is small
_ASPECT_RATIO = (3 / 4, 4 / 3)  # of random crops; torchvision's and timm's default
# A large JPEG is decoded at a reduced scale, to no less than this many times the side that it is resized to: then the
# resize, which looks at all of its pixels, still does most of the smoothing. docs/images.md has the difference.
_DECODED_PER_RESIZED = 2
NO_VIEWS = AugmentSettings(enabled=False)


@dataclass(frozen=True)
class Prepare:
    """PIL image -> uint8 (3, S, S).

    Attributes:
        shorter: How many pixels the shorter side of a large JPEG keeps when it is decoded; None for all.
    """

    steps: Transform
    shorter: int | None

    def __call__(self, image: Image.Image) -> Tensor:
        return self.steps(image)


def decoded_side(spec: InputSpec, augment: AugmentSettings = NO_VIEWS) -> int | None:
    """How many pixels the shorter side of a large JPEG keeps when it is decoded; None for all.

    Twice the side that it is resized to, or more where random crops are smaller: the smallest crop, of the least area
    and the most elongated shape, still has as many pixels along its shorter side as the model sees. No view is enlarged
    that is not enlarged from the whole file. With the default `min_scale` of 0.6 the crops ask for less, so that
    training with and without random views, test and prediction decode alike.

    Raises:
        UserError: `data.decoded_side` is below the side that images are resized to.
    """
    resized = int(spec.size / spec.crop_pct) if spec.fit == "crop" else spec.size
    if spec.decoded_side == "full":
        return None
    if isinstance(spec.decoded_side, int):
        if spec.decoded_side < resized:
            raise UserError(
                f"data.decoded_side={spec.decoded_side}: images are resized to {resized} pixels; "
                f"give {resized} or more, auto, or full"
            )
        return spec.decoded_side
    side = _DECODED_PER_RESIZED * resized
    if augment.is_random and augment.min_scale < 1.0 and spec.fit == "crop":
        side = max(side, math.ceil(spec.size / math.sqrt(augment.min_scale * _ASPECT_RATIO[0])))
    return side


def eval_transform(spec: InputSpec, *, beside: AugmentSettings = NO_VIEWS) -> Prepare:
    """Resize the shorter side to size / crop_pct, then crop the centre, as the weights were evaluated.

    With `spec.fit` "pad" or "squash" the whole image is shown instead.

    Args:
        beside: The random views of the training images, which are decoded at the same scale.
    """
    return Prepare(v2.Compose([*_resize_and_crop(spec), v2.PILToTensor()]), decoded_side(spec, beside))


def train_transform(spec: InputSpec, augment: AugmentSettings) -> Prepare:
    """The random views that `augment` describes; the eval transform if nothing in it is random."""
    if not augment.is_random:
        return eval_transform(spec)
    steps = _resize_and_crop(spec)
    if augment.min_scale < 1.0:
        scale = (augment.min_scale, 1.0)
        mode = v2.InterpolationMode(spec.interpolation)
        whole = [] if spec.fit == "crop" else steps
        steps = [*whole, RandomCrop(spec.size, scale=scale, ratio=_ASPECT_RATIO, interpolation=mode)]
    if augment.hflip:
        steps.append(v2.RandomHorizontalFlip())
    if augment.vflip:
        steps.append(v2.RandomVerticalFlip())
    if augment.color:
        steps.append(v2.ColorJitter(brightness=augment.color, contrast=augment.color, saturation=augment.color))
    if augment.rand_ops:  # Cubuk et al. 2020, "RandAugment"
        steps.append(v2.RandAugment(num_ops=augment.rand_ops, magnitude=augment.rand_magnitude))
    return Prepare(v2.Compose([*steps, v2.PILToTensor()]), decoded_side(spec, augment))


def _resize_and_crop(spec: InputSpec) -> list[Callable[[Image.Image], Image.Image]]:
    if spec.fit == "pad":
        return [Padded(spec.size, spec.interpolation, _grey_of(spec))]
    if spec.fit == "squash":
        return [Squashed(spec.size, spec.interpolation)]
    assert spec.fit == "crop", spec.fit
    return [CentreCrop(int(spec.size / spec.crop_pct), spec.size, spec.interpolation)]


@dataclass(frozen=True)
class CentreCrop:
    """Resizes the shorter side to `shorter` pixels, then crops the central `side` x `side`.

    Only the part that stays is resized: that takes 0.6 of the time at 500 x 375, and 100 x 100,000 pixels resized as a
    whole would take gigabytes. Pillow's filters look beyond the part too, so the levels are the same but for rounding:
    by 2 of 255 at most, in 0.05 % of noise. Upright images are resized as a whole: Pillow takes their columns first,
    but those of their square part last, which changes levels of noise by up to 24.
    """

    shorter: int
    side: int
    interpolation: str

    def __call__(self, image: Image.Image) -> Image.Image:
        side, filter_, (x, y, width, height) = self.side, _FILTERS[self.interpolation], shown(image)
        (wide, left), (tall, top) = (self._resized(pixels, min(width, height)) for pixels in (width, height))
        if width < height <= _ELONGATED * width:
            return resized(image, (wide, tall), filter_).crop((left, top, left + side, top + side))
        # Products first: a quotient that is rounded up would put an end beyond the image.
        start = (x + left * width / wide, y + top * height / tall)
        end = (x + (left + side) * width / wide, y + (top + side) * height / tall)
        return resized(image, (side, side), filter_, box=(*start, *end))

    def _resized(self, pixels: float, shorter: float) -> tuple[int, int]:
        """What a side of `pixels` becomes, and where the crop begins in that; torchvision rounds so."""
        becomes = self.shorter if pixels == shorter else int(self.shorter * pixels / shorter)
        return becomes, round((becomes - self.side) / 2)


@dataclass(frozen=True)
class Padded:
    """Resizes the longer side to `side` pixels and fills up the other, both ends alike, with one colour."""

    side: int
    interpolation: str
    colour: tuple[int, int, int]

    def __call__(self, image: Image.Image) -> Image.Image:
        _, _, *sides = shown(image)
        width, height = (max(1, round(self.side * pixels / max(sides))) for pixels in sides)
        small = resized(image, (width, height), _FILTERS[self.interpolation])
        square = Image.new("RGB", (self.side, self.side), self.colour)
        square.paste(small, ((self.side - width) // 2, (self.side - height) // 2))
        return square


@dataclass(frozen=True)
class Squashed:
    """Resizes both sides to `side` pixels."""

    side: int
    interpolation: str

    def __call__(self, image: Image.Image) -> Image.Image:
        return resized(image, (self.side, self.side), _FILTERS[self.interpolation])


class RandomCrop(v2.RandomResizedCrop):  # type: ignore[misc]
    """torchvision's random crop, within the margins of a reduced image."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if margins_of(inpt) == NO_MARGINS:
            return super().transform(inpt, params)
        x, y, width, height = shown(inpt)  # the crop was drawn for whole pixels
        across, down = width / inpt.width, height / inpt.height
        left, top = x + params["left"] * across, y + params["top"] * down
        box = (left, top, left + params["width"] * across, top + params["height"] * down)
        return resized(inpt, (self.size[1], self.size[0]), _FILTERS[self.interpolation.value], box=box)


def _grey_of(spec: InputSpec) -> tuple[int, int, int]:
    """The colour that is 0 for the backbone."""
    red, green, blue = (round(255 * level) for level in spec.mean)
    return red, green, blue
