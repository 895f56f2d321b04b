"""One image loader for every mode, depth and orientation."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from thawline.errors import UserError
from thawline.printable import printable

# Modes whose samples are wider than 8 bits; Pillow's own conversion to RGB clips them to white.
_WIDE_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_MAX_16_BIT = 65535.0  # largest sample of a 16-bit image

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


class UnreadableImage(UserError):
    """An image file cannot be decoded; the message names the file."""


def decode(path: str | Path) -> Image.Image:
    """Read an image file completely and return it upright, mode RGB, uint8.

    16-bit and float images are scaled to 8 bits, transparency is laid over white, the EXIF orientation is applied,
    and the first frame of an animation is taken.

    Raises:
        UnreadableImage: The file is missing, empty, truncated, or no image.
    """
    return decode_bytes(read_bytes(path), name=printable(path))


def read_bytes(path: str | Path) -> bytes:
    """The file's content; raises `UnreadableImage` if it is missing, a folder, or not permitted."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UnreadableImage(f"unreadable image {printable(path)}: {error.strerror or error}") from error


def decode_bytes(data: bytes, *, name: str = "in memory") -> Image.Image:
    """Decode the bytes of one image file; see `decode`. Error messages call the file `name`."""
    if not data:
        raise UnreadableImage(f"unreadable image {name}: the file is empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            # Orientation first: converting an image keeps its pixels but may drop its EXIF block.
            return to_rgb(upright(image))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders let any kind escape: OSError, ValueError, struct.error, zlib.error
        reason = str(error).split("<_io")[0].strip() or type(error).__name__
        raise UnreadableImage(f"unreadable image {name}: {reason}") from error


def upright(image: Image.Image) -> Image.Image:
    """Turn and mirror the image as its EXIF orientation says; with an unreadable EXIF block leave it as it is.

    `ImageOps.exif_transpose` also rewrites the EXIF block, which fails on many cameras' tags.
    """
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # the pixels are fine, and image viewers show such a photograph as it is stored
        return image
    method = None if orientation is None else _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any Pillow image to mode RGB, uint8; transparency becomes white."""
    if image.mode in _WIDE_MODES:
        image = _to_8_bit(image)
    if image.mode == "La":
        image = image.convert("LA")  # Pillow cannot convert La to RGB directly
    if "transparency" in image.info or image.mode in {"LA", "PA", "RGBA", "RGBa"}:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))  # (H, W)
    scaled = np.rint(values * (255.0 / _largest_sample(image.mode, values)))
    return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))


def _largest_sample(mode: str, values: NDArray[np.float64]) -> float:
    # A float file does not say its range; these three ranges are in use.
    ranges = (1.0, 255.0, _MAX_16_BIT) if mode == "F" else (_MAX_16_BIT,)
    return next((largest for largest in ranges if values.max(initial=0.0) <= largest), _MAX_16_BIT)
