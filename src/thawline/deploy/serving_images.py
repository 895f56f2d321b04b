"""Images that strangers send: the size is read from the header and checked before anything is decoded."""

import io
import math
from dataclasses import dataclass
from typing import Any

from PIL import Image, UnidentifiedImageError
from torch import Tensor

from thawline.data.decode import UnreadableImage, decode_bytes
from thawline.data.wide_files import is_deflated_dicom, is_dicom, is_tiff, prepare_pillow
from thawline.deploy.loaded import Model
from thawline.errors import UserError

# Pillow opens others too, among them EPS, for which it starts Ghostscript: nothing to do with a stranger's bytes.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "MPO", "PPM", "AVIF", "HEIF", "JPEG2000", "QOI")
_RGB = 3
_HEADER_ERRORS = (OSError, ValueError, SyntaxError, KeyError, IndexError, TypeError, AttributeError, EOFError)


@dataclass(frozen=True)
class Limits:
    """What one request may ask for.

    Attributes:
        max_bytes: Of its body.
        max_pixels: Of one image, width times height, all frames.
        max_images: Of one request.
        timeout_s: From the first byte of the body to the last of the answer.
    """

    max_bytes: int = 64 << 20  # chosen: a dozen photographs of a phone
    max_pixels: int = 64_000_000  # chosen: the photographs of most phones; 192 MB as RGB
    max_images: int = 32  # as many as are computed together
    timeout_s: float = 30.0


def prepared(model: Model, data: bytes, *, name: str, max_pixels: int) -> Tensor | str:
    """The model's input, uint8 (3, S, S), of an image file's bytes; or why there is none."""
    try:
        check_size(data, name=name, max_pixels=max_pixels)
        return model.prepare(decode_bytes(data, name=name, pixels=model.description.preprocessing.pixels))
    except UserError as error:
        return str(error)
    except MemoryError:
        return f"unreadable image {name}: not enough memory"


def check_size(data: bytes, *, name: str, max_pixels: int) -> None:
    """Raises `UnreadableImage` where the header says more pixels than `max_pixels`, or is none of an image's."""
    if not data:
        raise UnreadableImage(f"unreadable image {name}: the file is empty")
    try:
        number = _num_pixels(data)
    except UserError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError, *_HEADER_ERRORS) as error:
        known = not isinstance(error, UnidentifiedImageError)
        reason = " ".join(str(error).split()) if known and str(error) else "not an image of a kind that is served"
        raise UnreadableImage(f"unreadable image {name}: {reason}") from error
    if number > max_pixels:
        raise UnreadableImage(f"unreadable image {name}: {number:,} pixels, allowed are {max_pixels:,}")


def _num_pixels(data: bytes) -> int:
    if is_dicom(data):
        return _dicom_pixels(data)
    prepare_pillow(data)
    Image.init()
    try:
        with Image.open(io.BytesIO(data), formats=[kind for kind in _FORMATS if kind in Image.OPEN]) as image:
            return image.width * image.height
    except UnidentifiedImageError:
        if is_tiff(data):
            return _tiff_pixels(data)
        raise


def _dicom_pixels(data: bytes) -> int:
    try:
        import pydicom
    except ImportError:
        return 0  # `decode` says which package is missing
    try:
        if is_deflated_dicom(data):
            raise ValueError("deflated files are not served, as they may be of any size inside")
        file = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
        return int(file.Rows) * int(file.Columns) * int(file.get("NumberOfFrames", 1) or 1)
    except Exception as error:  # its readers let any kind escape
        raise ValueError(f"DICOM: {error}") from error


def _tiff_pixels(data: bytes) -> int:
    try:
        import tifffile
    except ImportError:
        return 0  # `decode` says which package is missing
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages[0]
            bands = math.ceil(int(getattr(page, "samplesperpixel", 1)) / _RGB)  # more take as much memory as images do
            return int(page.imagewidth) * int(page.imagelength) * int(getattr(page, "imagedepth", 1)) * max(bands, 1)
    except Exception as error:  # its readers let any kind escape
        raise ValueError(f"TIFF: {error}") from error
