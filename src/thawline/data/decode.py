"""One image loader for every mode, depth and orientation."""

import io
import os
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from thawline.atomic import LOST, mended_by
from thawline.data.margins import NO_MARGINS, margins_after, margins_of, turned_margins, with_margins
from thawline.data.value_range import ValueRange, WideImage, range_of, to_8_bit
from thawline.data.wide_files import (
    is_dicom,
    is_tiff,
    is_wide_png,
    pillow_keeps_all,
    prepare_pillow,
    read_dicom,
    read_png,
    read_tiff,
)
from thawline.errors import UserError
from thawline.printable import printable

# Modes whose samples are wider than 8 bits; Pillow's own conversion to RGB clips them to white.
_WIDE_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_BYTE = ValueRange(0.0, 255.0)
_JPEG = frozenset({"JPEG", "MPO"})  # Pillow's names of the formats that libjpeg decodes at a reduced scale

# EXIF orientation -> the turn or flip that makes the image upright (Exif 2.32, tag 274); 1 is upright already.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ON_ITS_SIDE = frozenset({5, 6, 7, 8})  # of these, those that exchange width and height


@dataclass(frozen=True)
class Pixels:
    """How the samples of a data set become 8-bit RGB.

    Attributes:
        value_range: Which values become black and white, where samples are wider than 8 bits.
        channels: Which of more than three channels are taken, one or three, counted from 0 (TIFF).
        only_8_bit: Whether wider samples are refused: the images that were looked at had 8 bits, so there is no range.
        shorter: A JPEG is decoded at 1/2, 1/4 or 1/8 of its size, as long as its shorter side keeps so many pixels.
            libjpeg then computes fewer pixels, each close to the mean of those it stands for; all the data are read.
            None decodes in full. It follows from the model (`transforms.decoded_side`), not from the images, so it is
            no part of how a data set is named.
    """

    value_range: ValueRange | None = None
    channels: tuple[int, ...] | None = None
    only_8_bit: bool = False
    shorter: int | None = field(default=None, repr=False)

    @property
    def of_images(self) -> "Pixels":
        """What follows from the images alone."""
        return replace(self, shorter=None)


AS_THEY_ARE = Pixels()


class Samples(NamedTuple):
    """An image as its file has it.

    Attributes:
        image: Mode RGB, uint8; or samples wider than 8 bits.
        orientation: EXIF's, 1 for upright.
        size: Width and height in the file, before turning and before any reduction.
    """

    image: Image.Image | WideImage
    orientation: int
    size: tuple[int, int]


class UnreadableImage(UserError):
    """An image file cannot be decoded; the message names the file."""


def decode(path: str | Path, *, pixels: Pixels = AS_THEY_ARE) -> Image.Image:
    """Read an image file completely and return it upright, mode RGB, uint8.

    Transparency is laid over white, the EXIF orientation is applied, and the first frame of an animation is taken.
    Samples wider than 8 bits are scaled by `pixels.value_range`. Without one the image is a data set of its own.

    Raises:
        UnreadableImage: The file is missing, empty, truncated, or no image.
    """
    return decode_bytes(read_bytes(path), name=printable(path), pixels=pixels)


def read_bytes(path: str | Path) -> bytes:
    """The file's content; raises `UnreadableImage` if it is missing, no file, or not permitted."""
    try:
        refuse_no_file(path)
        return Path(path).read_bytes()
    except OSError as error:
        raise unread(path, error) from error


def unread(path: str | Path, error: OSError) -> UserError:
    """An `UnreadableImage`; of a file system that is gone another error, so that no image is left out for it."""
    if error.errno in LOST:
        return UserError(f"cannot read {printable(path)}: {error.strerror}; {mended_by(error)}")
    return UnreadableImage(f"unreadable image {printable(path)}: {error.strerror or error}")


def refuse_no_file(path: str | Path) -> None:
    """Raise `UnreadableImage` for a folder, a pipe or a device: opening a pipe would wait for ever."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UnreadableImage(f"unreadable image {printable(path)}: is no file but a folder, a pipe or a device")


def decode_bytes(data: bytes, *, name: str = "in memory", pixels: Pixels = AS_THEY_ARE) -> Image.Image:
    """Decode the bytes of one image file; see `decode`. Error messages call the file `name`."""
    image, orientation, _ = read_samples(data, name=name, pixels=pixels)
    if isinstance(image, WideImage):
        if pixels.only_8_bit:
            raise UnreadableImage(
                f"unreadable image {name}: its values are wider than 8 bits, those of the images looked at are not; "
                "give data.value_range=[low,high]"
            )
        image = to_8_bit(image, pixels.value_range or range_of([image]))
    return turned(image, orientation)


def read_samples(data: bytes, *, name: str, pixels: Pixels = AS_THEY_ARE) -> Samples:
    """The image as its file has it.

    Raises:
        UnreadableImage: See `decode`.
    """
    if not data:
        raise UnreadableImage(f"unreadable image {name}: the file is empty")
    try:
        image, orientation, size = _read(data, pixels)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders let any kind escape: OSError, ValueError, struct.error, zlib.error
        reason = str(error).split("<_io")[0].strip() or type(error).__name__
        raise UnreadableImage(f"unreadable image {name}: {' '.join(reason.split())}") from error
    if isinstance(image, WideImage) and image.values.dtype == np.uint8:
        image = to_8_bit(image, _BYTE)
    return Samples(image, orientation, size)


def _read(data: bytes, pixels: Pixels) -> Samples:
    if is_dicom(data):
        return _wide(read_dicom(data))
    prepare_pillow(data)
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        if is_tiff(data):
            return _wide(*read_tiff(data, channels=pixels.channels))
        raise
    with image:
        if is_tiff(data) and not (pillow_keeps_all(image) and pixels.channels is None):
            return _wide(*read_tiff(data, channels=pixels.channels))
        in_file, shorter = image.size, pixels.shorter
        drafted = image.draft(None, (shorter, shorter)) if shorter is not None and image.format in _JPEG else None
        image.load()
        # After loading: some formats turn the image then, or store its tag at the end.
        size, orientation = in_file if drafted else image.size, _orientation(image)
        if is_wide_png(data):
            return _wide(read_png(data), orientation)
        if image.mode in _WIDE_MODES:
            return _wide(WideImage(np.asarray(image)), orientation)
        margins = margins_after(image.size, drafted[1]) if drafted else NO_MARGINS
        return Samples(with_margins(to_rgb(image), margins), orientation, size)


def _wide(image: WideImage, orientation: int = 1) -> Samples:
    height, width = image.values.shape[:2]
    return Samples(image, orientation, (width, height))


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Turn and mirror the image as an EXIF orientation says."""
    method = _UPRIGHT.get(orientation)
    if method is None:
        return image
    return with_margins(image.transpose(method), turned_margins(margins_of(image), orientation))


def _orientation(image: Image.Image) -> int:
    """Its EXIF orientation; 1, upright, with an unreadable EXIF block.

    `ImageOps.exif_transpose` also rewrites the EXIF block, which fails on many cameras' tags.
    """
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation) or 1)
    except Exception:  # the pixels are fine, and image viewers show such a photograph as it is stored
        return 1


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any Pillow image to mode RGB, uint8; transparency becomes white."""
    if image.mode in _WIDE_MODES:
        wide = WideImage(np.asarray(image))
        return to_8_bit(wide, range_of([wide]))
    if image.mode == "La":
        image = image.convert("LA")  # Pillow cannot convert La to RGB directly
    if "transparency" in image.info or image.mode in {"LA", "PA", "RGBA", "RGBa"}:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
