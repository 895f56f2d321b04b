"""Files whose samples Pillow does not read, or reads to 8 bits: wide TIFF, 16-bit PNG in colour, DICOM, HEIC."""

import importlib
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from thawline.data.value_range import ValueRange, WideImage
from thawline.errors import UserError

_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")  # the last two: BigTIFF
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH, _PNG_COLOUR = 24, 25  # places in the file of bit depth and colour type; PNG 1.2, section 11.2.2
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_DICOM_PREAMBLE = 128  # bytes before "DICM"
_RGB = 3  # channels
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_MOST_VALUES = 4 * 89_478_485  # chosen: four times the pixels of which Pillow warns, as 119 megapixels of RGB have
# TIFF tags: BitsPerSample, PhotometricInterpretation, SamplesPerPixel, ExtraSamples, SampleFormat.
_BITS, _PHOTOMETRIC, _SAMPLES, _EXTRA, _FORMAT = 258, 262, 277, 338, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
_ORIENTATION = 274


def is_dicom(data: bytes) -> bool:
    return data[_DICOM_PREAMBLE : _DICOM_PREAMBLE + 4] == b"DICM"


def is_deflated_dicom(data: bytes) -> bool:
    """Whether it names the transfer syntax whose elements are compressed as a whole, and are inflated to be read."""
    return is_dicom(data) and _DEFLATED in data


def is_tiff(data: bytes) -> bool:
    return data.startswith(_TIFF)


def is_wide_png(data: bytes) -> bool:
    """Whether it is a PNG of 16 bits with more than one channel, of which Pillow keeps the upper 8 bits."""
    return data.startswith(_PNG) and len(data) > _PNG_COLOUR and data[_PNG_DEPTH] == 16 and data[_PNG_COLOUR] != 0


def prepare_pillow(data: bytes) -> None:
    """Teach Pillow to read HEIC where this is one; raises `UserError` without the package for it."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        _package("pi_heif", "heic").register_heif_opener()


def pillow_keeps_all(image: Image.Image) -> bool:
    """Whether Pillow reads a TIFF as it is: not with several samples wider than 8 bits, not with signed bytes."""
    tags = getattr(image, "tag_v2", {})
    wide = max(tags.get(_BITS, (8,))) > 8
    signed_bytes = not wide and _SIGNED in tags.get(_FORMAT, (1,))
    unsigned_32 = image.mode == "I" and max(tags.get(_BITS, (8,))) == 32 and _SIGNED not in tags.get(_FORMAT, (1,))
    white_is_zero = wide and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return not (signed_bytes or unsigned_32 or white_is_zero or (wide and tags.get(_SAMPLES, 1) > 1))


def read_png(data: bytes) -> WideImage:
    """A PNG of 16 bits: grey or RGB, with or without alpha."""
    from torchvision.io import ImageReadMode, decode_image

    tensor = decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.UNCHANGED)
    samples = np.moveaxis(tensor.numpy(), 0, -1)  # (C, H, W) -> (H, W, C)
    return _with_alpha(samples, has_alpha=samples.shape[-1] in (2, 4))


def read_tiff(data: bytes, *, channels: Sequence[int] | None) -> tuple[WideImage, int]:
    """The first page of a TIFF, and its orientation tag; see `three_channels`."""
    tifffile = _package("tifffile", "tiff")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        _refuse_bomb(math.prod(page.shape))
        samples = page.asarray()
        if page.axes.startswith("S") and samples.ndim == 3:
            samples = np.moveaxis(samples, 0, -1)  # (C, H, W) -> (H, W, C)
        has_alpha = any(int(kind) in (1, 2) for kind in page.extrasamples)
        inverted = int(page.photometric) == _WHITE_IS_ZERO
        orientation = page.tags.get(_ORIENTATION)
    if channels is None and has_alpha and samples.shape[-1] in (2, 4):
        wide = _with_alpha(samples, has_alpha=True)
    else:
        wide = WideImage(three_channels(samples, channels), inverted=inverted)
    return wide, int(orientation.value) if orientation is not None else 1


def read_dicom(data: bytes) -> WideImage:
    """The first frame of a DICOM file, in the units that its slope and intercept give (Hounsfield, for CT)."""
    pydicom = _package("pydicom", "dicom")
    file = pydicom.dcmread(io.BytesIO(data))
    frames = int(file.get("NumberOfFrames", 1) or 1)
    _refuse_bomb(int(file.Rows) * int(file.Columns) * int(file.get("SamplesPerPixel", 1)) * frames)
    samples: NDArray[Any] = file.pixel_array
    if frames > 1:
        samples = samples[0]
    values = samples
    if "RescaleSlope" in file or "RescaleIntercept" in file:
        slope, intercept = float(file.get("RescaleSlope", 1)), float(file.get("RescaleIntercept", 0))
        values = (samples * slope + intercept).astype(np.float32)
    photometric = str(file.get("PhotometricInterpretation", ""))
    if values.ndim == 3 and photometric.startswith("YBR"):
        values = importlib.import_module("pydicom.pixels").convert_color_space(samples, photometric, "RGB")
    return WideImage(values, window=_window(file), inverted=photometric == "MONOCHROME1")


def _refuse_bomb(num_values: int) -> None:
    """Before the memory is taken: a file of a few bytes may claim any size. Pillow refuses by itself."""
    if num_values > _MOST_VALUES:
        raise UserError(f"it claims {num_values:,} values; more than {_MOST_VALUES:,} are taken for an attack")


def _window(file: Any) -> ValueRange | None:
    """PS3.3, C.11.2.1.2; of several windows the first."""
    centre, width = file.get("WindowCenter"), file.get("WindowWidth")
    if centre is None or width is None:
        return None
    centre, width = (float(value[0] if hasattr(value, "__len__") else value) for value in (centre, width))
    return ValueRange(centre - width / 2, centre + width / 2) if width > 0 else None


def three_channels(samples: NDArray[Any], channels: Sequence[int] | None) -> NDArray[Any]:
    """(H, W, C) -> (H, W) or (H, W, 3).

    Raises:
        UserError: There are neither one nor three channels and `channels` is None, or names some that are not there.
    """
    if samples.ndim == 2:
        return samples
    number = samples.shape[-1]
    if channels is not None:
        if max(channels) >= number:
            raise UserError(f"it has {number} channels, counted from 0; data.channels={list(channels)} asks for more")
        taken = samples[..., list(channels)]
        return taken[..., 0] if len(channels) == 1 else taken
    if number not in (1, _RGB):
        raise UserError(f"it has {number} channels; name one or three of them, such as data.channels=[0,1,2]")
    return samples[..., 0] if number == 1 else samples


def _with_alpha(samples: NDArray[Any], *, has_alpha: bool) -> WideImage:
    if not has_alpha:
        return WideImage(three_channels(samples, None))
    opaque = 1.0 if np.issubdtype(samples.dtype, np.floating) else float(np.iinfo(samples.dtype).max)
    alpha = np.clip(samples[..., -1].astype(np.float32) / opaque, 0.0, 1.0)
    return WideImage(three_channels(samples[..., :-1], None), alpha=alpha)


def _package(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f'reading it takes a package: pip install "thawline[{extra}]"') from error
