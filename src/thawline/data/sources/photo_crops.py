"""Crops of the photographs inside scikit-image's and scikit-learn's wheels: everyday photographs, offline, any number.

The class of a crop is its photograph. Train, val and test crops come from disjoint regions of each photograph, so a
model cannot classify by remembering pixels.

Photographs: scikit-image calls its own CC0, public domain or without known restrictions, but for the motorcycle, which
comes without a statement from the Middlebury 2014 stereo data (Scharstein et al. 2014, GCPR); scikit-learn's china.jpg
and flower.jpg are CC BY 2.0, by danielbuechele and vultilion on Flickr.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from thawline.data.decode import decode
from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.packaged_files import installed_folder
from thawline.data.sources.source import SPLITS, IntArray, Split
from thawline.data.sources.subset import consecutive_splits, place_in_split
from thawline.errors import UserError

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are outside
Side = Literal["left", "right", "top", "bottom"]

RULE_VERSION = 1  # raise it whenever a change below alters any crop: it enters the fingerprint
MARGIN = 8  # pixels between regions; chosen: wider than the smear of JPEG's 8-pixel blocks

# The jitter, chosen so that the task is not trivial: a linear probe on EfficientNet-Lite0 features, trained on 560
# crops, reaches 95 % (C = 0.01, 240 test images). With working sizes of 64 to 160 and at most 4 levels of noise: 99 %.
GREY_SHARE = 0.5  # share of crops that lose their colour, because 5 of the 12 photographs are grey
BRIGHTNESS = (0.7, 1.3)
CONTRAST = (0.7, 1.3)
SATURATION = (0.3, 1.5)
BLUR_PIXELS = (0.0, 1.0)  # Gaussian radius at the working size
NOISE_LEVELS = (0.0, 8.0)  # standard deviation, grey levels of 255
WORKING_SIZES = (80, 160)  # pixels; crops are reduced to a side between these, then enlarged to `size`


@dataclass(frozen=True)
class Photo:
    """A photograph in a wheel, and the part of it that is used.

    Attributes:
        name: Class name.
        package, path: An importable package, and the file's path inside it.
        train_side: Half of the frame for train crops; val and test share the other half.
        frame: The part that is used, as fractions (left, top, right, bottom); the rest is sky or background.
    """

    name: str
    package: str
    path: str
    train_side: Side
    frame: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


PHOTOS = (
    Photo("astronaut", "skimage", "data/astronaut.png", "right", (0.0, 0.0, 0.95, 1.0)),
    Photo("brick", "skimage", "data/brick.png", "left"),
    Photo("cameraman", "skimage", "data/camera.png", "top", (0.1, 0.1, 0.8, 0.8)),
    Photo("cat", "skimage", "data/chelsea.png", "left", (0.0, 0.0, 0.9, 1.0)),
    Photo("coffee", "skimage", "data/coffee.png", "left", (0.1, 0.0, 0.85, 1.0)),
    Photo("coins", "skimage", "data/coins.png", "left"),
    Photo("flower", "sklearn", "datasets/images/flower.jpg", "left", (0.27, 0.05, 0.75, 1.0)),
    Photo("grass", "skimage", "data/grass.png", "left"),
    Photo("gravel", "skimage", "data/gravel.png", "left"),
    Photo("motorcycle", "skimage", "data/motorcycle_left.png", "left", (0.05, 0.1, 0.95, 0.95)),
    Photo("pagoda", "sklearn", "datasets/images/china.jpg", "left", (0.15, 0.02, 0.62, 0.95)),
    Photo("rocket", "skimage", "data/rocket.jpg", "bottom", (0.0, 0.3, 1.0, 1.0)),
)


class PhotoCrops:
    """Crops of 12 photographs; the class is the photograph.

    Args:
        num_train, num_val, num_test: Images per split; classes are balanced to within one image.
        seed: Crop i of a split is a pure function of (seed, split, i), whatever the number of images.
        size: Side of every crop, pixels.
        min_scale, max_scale: Range of a crop's side before enlargement, as a share of the longest side that fits
            every region of the photograph, in (0, 1].
    Raises:
        UserError: a setting is out of range, or a photograph is missing from the installed wheels.
    """

    name = "photo_crops"

    def __init__(
        self,
        *,
        num_train: int,
        num_val: int,
        num_test: int,
        seed: int = 0,
        size: int = 224,
        min_scale: float = 0.45,
        max_scale: float = 1.0,
    ) -> None:
        if seed < 0:
            raise UserError(f"data.source.seed={seed}: give a whole number of 0 or more")
        if size < 1:
            raise UserError(f"data.source.size={size}: give a side of 1 pixel or more")
        if not 0.0 < min_scale <= max_scale <= 1.0:
            raise UserError(
                f"data.source.min_scale={min_scale}, max_scale={max_scale}: needed is 0 < min_scale <= max_scale <= 1"
            )
        self.seed, self.size, self.scale = seed, size, (min_scale, max_scale)
        self.class_names: Sequence[str] = [photo.name for photo in PHOTOS]
        self.splits: Mapping[Split, IntArray] = consecutive_splits(
            num_train=num_train, num_val=num_val, num_test=num_test
        )
        self.groups: IntArray = np.arange(num_train + num_val + num_test, dtype=np.int64)
        self.labels: IntArray = self.groups % len(PHOTOS)
        self._paths = [photo_path(photo) for photo in PHOTOS]

    def load(self, index: int) -> Image.Image:
        """Return crop `index`, mode RGB, `size` x `size`."""
        photo = _read(self._paths[self.labels[index]])
        rng, box = self._draw(index, photo)
        small = jitter(photo.crop(box), rng)
        return small.resize((self.size, self.size), Image.Resampling.BICUBIC)

    def describe(self, index: int) -> str:
        split, position = place_in_split(self.splits, index)
        name = self._paths[self.labels[index]].name
        return f"{name} box {self.box(index)} ({split} {position}, seed {self.seed})"

    def fingerprint(self) -> str:
        counts = [len(self.splits.get(split, ())) for split in SPLITS]
        parameters = (RULE_VERSION, self.seed, self.size, *self.scale, *counts)
        return fingerprint(self.name, *parameters, *(path.read_bytes() for path in self._paths))

    def box(self, index: int) -> Box:
        """The part of its photograph that crop `index` shows."""
        return self._draw(index, _read(self._paths[self.labels[index]]))[1]

    def _draw(self, index: int, photo: Image.Image) -> tuple[np.random.Generator, Box]:
        split, position = place_in_split(self.splits, index)
        rng = np.random.default_rng([self.seed, SPLITS.index(split), position])
        areas = regions(*photo.size, photo=PHOTOS[self.labels[index]])
        longest = min(min(x1 - x0, y1 - y0) for x0, y0, x1, y1 in areas.values())
        return rng, random_box(areas[split], rng, sides=(self.scale[0] * longest, self.scale[1] * longest))


def photo_path(photo: Photo) -> Path:
    """The photograph's file in the installed wheel; never downloads.

    Raises:
        UserError: the package, or the file inside it, is not there.
    """
    missing = (
        f"photograph {photo.path} of package {photo.package} is not installed: "
        'run pip install "thawline[demo]", or choose another data='
    )
    path = installed_folder(photo.package, missing=missing) / photo.path
    if not path.is_file():
        raise UserError(missing)
    return path


@lru_cache(maxsize=len(PHOTOS))
def _read(path: Path) -> Image.Image:
    return decode(path)


def regions(width: int, height: int, *, photo: Photo) -> dict[Split, Box]:
    """A region of the photograph's frame per split: train gets one half, val and test a quarter each.

    Args:
        width, height: Size of the photograph, pixels.
    Returns:
        Disjoint boxes, `MARGIN` pixels apart.
    """
    left, top, right, bottom = (round(f * side) for f, side in zip(photo.frame, (width, height) * 2, strict=True))
    x, y, gap = (left + right) // 2, (top + bottom) // 2, MARGIN // 2
    west, east, north, south = (left, x - gap), (x + gap, right), (top, y - gap), (y + gap, bottom)
    if photo.train_side in ("left", "right"):
        train, rest = (west, east) if photo.train_side == "left" else (east, west)
        return {"train": _box(train, (top, bottom)), "val": _box(rest, north), "test": _box(rest, south)}
    train, rest = (north, south) if photo.train_side == "top" else (south, north)
    return {"train": _box((left, right), train), "val": _box(west, rest), "test": _box(east, rest)}


def _box(x: tuple[int, int], y: tuple[int, int]) -> Box:
    return x[0], y[0], x[1], y[1]


def random_box(region: Box, rng: np.random.Generator, *, sides: tuple[float, float]) -> Box:
    """A random square inside `region`, uniform in side (within `sides`, pixels) and position."""
    left, top, right, bottom = region
    side = max(1, round(rng.uniform(*sides)))
    x = int(rng.integers(left, right - side, endpoint=True))
    y = int(rng.integers(top, bottom - side, endpoint=True))
    return x, y, x + side, y + side


def jitter(crop: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Make the crop harder to recognize: low resolution, other light, less colour, blur, noise, perhaps mirrored.

    Args:
        crop: Mode RGB, any size.
    Returns:
        Mode RGB, square, with a side in `WORKING_SIZES`.
    """
    side = int(rng.integers(*WORKING_SIZES, endpoint=True))
    crop = crop.resize((side, side), Image.Resampling.BILINEAR)  # the steps below then take 2 ms less per image
    if rng.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    saturation = 0.0 if rng.random() < GREY_SHARE else rng.uniform(*SATURATION)
    crop = ImageEnhance.Color(crop).enhance(saturation)
    crop = ImageEnhance.Brightness(crop).enhance(rng.uniform(*BRIGHTNESS))
    crop = ImageEnhance.Contrast(crop).enhance(rng.uniform(*CONTRAST))
    crop = crop.filter(ImageFilter.GaussianBlur(rng.uniform(*BLUR_PIXELS)))
    return add_noise(crop, rng, deviation=rng.uniform(*NOISE_LEVELS))


def add_noise(image: Image.Image, rng: np.random.Generator, *, deviation: float) -> Image.Image:
    """Add Gaussian noise of `deviation` grey levels, the same in all three channels."""
    noise = rng.standard_normal((image.height, image.width, 1), dtype=np.float32) * deviation
    noisy = np.asarray(image, dtype=np.float32) + noise  # (H, W, 3)
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
