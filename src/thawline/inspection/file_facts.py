"""What each image file is, from one reading: kind, size, light, sharpness, border, and a thumb to find copies by."""

import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thawline.data.decode import AS_THEY_ARE, Pixels, UnreadableImage, read_bytes, read_samples, refuse_no_file, turned
from thawline.data.sources.content import THUMB, thumb_of
from thawline.data.sources.fingerprint import DIGEST_BYTES
from thawline.data.sources.set_pixels import decided_range
from thawline.data.sources.subset import evenly_spread
from thawline.data.value_range import WideImage, range_of, to_8_bit
from thawline.data.wide_files import is_dicom, is_tiff, is_wide_png
from thawline.errors import UserError
from thawline.inspection.listing import Listing, collected_notes
from thawline.printable import printable
from thawline.progress_bar import progress

_SEEN_SIDE = 256  # pixels of the longer side at which contrast and sharpness are measured; about what a backbone sees
_REDUCING_GAP = 2.0  # Pillow's: how far a large image is reduced by a quick method first
_BORDER = 0.03  # of the shorter side; chosen: a scanner's frame is seen, the subject hardly
_MAX_THREADS = 8  # chosen: as when a folder is read for training
_SHOWN_ABOVE = 200  # images; fewer are read within a second or two
_TRIED = 64  # images whose headers say whether values are wider than 8 bits
_DARK, _BRIGHT = 95, 5  # percentiles of the grey levels: nearly all of a dark image is dark
GREY = np.array([299, 587, 114], dtype=np.float32) / 1000  # Pillow's weights of red, green and blue
_FLAT = 4.0  # variance of grey levels below which sharpness says nothing
_NARROW_MODES = frozenset(("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "La", "CMYK", "YCbCr", "LAB", "HSV"))

# One row a file. Levels are of 255. `kind` is Pillow's format and mode; `sharpness` is the variance of the Laplacian
# over that of the grey levels, NaN for a flat image.
FACTS = np.dtype(
    [
        ("digest", f"S{2 * DIGEST_BYTES}"),
        ("bytes", np.int64),
        ("width", np.int64),
        ("height", np.int64),
        ("format", "U12"),
        ("mode", "U8"),
        ("frames", np.int64),
        ("brightness", np.float64),
        ("contrast", np.float64),
        ("upper", np.float64),
        ("lower", np.float64),
        ("sharpness", np.float64),
        ("border", np.float64, (3,)),
    ]
)


@dataclass(frozen=True)
class Facts:
    """What the readable files are.

    Attributes:
        images: Their indices among those listed, (M,), int64, ascending.
        rows: (M,), of dtype `FACTS`.
        thumbs: (M, THUMB, THUMB, 3), uint8.
        errors: Index of every other image -> why it cannot be read.
    """

    images: NDArray[np.int64]
    rows: NDArray[Any]
    thumbs: NDArray[np.uint8]
    errors: dict[int, str]


def read_facts(listing: Listing) -> Facts:
    """Read and decode every image once."""
    paths = [listing.path(image) for image in range(len(listing))]
    with collected_notes():  # what it warns of is an issue here
        pixels = _pixels(listing, paths)
    with (
        ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool,
        progress(len(paths), "files read", above=_SHOWN_ABOVE) as advance,
    ):
        results = []
        for result in pool.map(lambda path: _read(path, pixels), paths):
            results.append(result)
            advance(1)
    good = [(number, result) for number, result in enumerate(results) if not isinstance(result, str)]
    return Facts(
        np.array([number for number, _ in good], dtype=np.int64),
        np.array([row for _, (row, _) in good], dtype=FACTS),
        np.array([thumb for _, (_, thumb) in good], dtype=np.uint8).reshape(-1, THUMB, THUMB, 3),
        {number: result for number, result in enumerate(results) if isinstance(result, str)},
    )


def _pixels(listing: Listing, paths: Sequence[Path]) -> Pixels:
    """With the range of the set's values, where the headers of some files say that these are wider than 8 bits."""
    tried = evenly_spread(len(paths), _TRIED)
    wide = [number for number in tried if _may_be_wide(paths[number])]
    if not wide:
        return AS_THEY_ARE
    try:
        return replace(
            AS_THEY_ARE,
            value_range=decided_range(listing.root, listing.index.paths, AS_THEY_ARE, looked=np.array(wide)),
        )
    except UserError:  # whole numbers and fractions in one set: each image has a range of its own
        return AS_THEY_ARE


def _may_be_wide(path: Path) -> bool:
    try:
        refuse_no_file(path)
        with path.open("rb") as file:
            start = file.read(_SEEN_SIDE)
        if is_dicom(start) or is_tiff(start) or is_wide_png(start):
            return True
        with Image.open(path) as image:
            return image.mode not in _NARROW_MODES
    except Exception:  # told where the file is read
        return False


def _read(path: Path, pixels: Pixels) -> tuple[tuple[Any, ...], NDArray[np.uint8]] | str:
    """The row of `FACTS` and the thumb, or why there are none."""
    try:
        data = read_bytes(path)
        samples, orientation, _ = read_samples(data, name=printable(path), pixels=pixels)
    except UnreadableImage as error:
        return str(error).removeprefix(f"unreadable image {printable(path)}: ")
    if isinstance(samples, WideImage):
        samples = to_8_bit(samples, pixels.value_range or range_of([samples]))
    image = turned(samples, orientation)
    thumb = np.asarray(thumb_of(image))
    digest = hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest().encode()
    return (digest, len(data), *image.size, *_header(data), *_looks(image, thumb)), thumb


def _header(data: bytes) -> tuple[str, str, int]:
    """Pillow's format and mode, and the number of frames."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.format or "", image.mode, int(getattr(image, "n_frames", 1))
    except Exception:  # read by another package
        return ("DICOM" if is_dicom(data) else "TIFF" if is_tiff(data) else ""), "", 1


def light_of(thumbs: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean, upper and lower level of thumbs, (n, THUMB, THUMB, 3) -> (3, n), of 255.

    The levels are measured on thumbs, not on pixels, because a scan keeps these: so the whole inspection and the short
    one before a run name the same files.
    """
    grey = (thumbs @ GREY).reshape(len(thumbs), -1)  # (n, THUMB * THUMB)
    return np.stack([grey.mean(axis=1), *np.percentile(grey, (_DARK, _BRIGHT), axis=1)]).astype(np.float64)


def _looks(image: Image.Image, thumb: NDArray[np.uint8]) -> tuple[Any, ...]:
    """Brightness, contrast, an upper and a lower level, sharpness, and the colour of the border."""
    ((brightness,), (upper,), (lower,)) = light_of(thumb[None])
    scale = min(1.0, _SEEN_SIDE / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small = image.resize(size, Image.Resampling.BOX, reducing_gap=_REDUCING_GAP) if scale < 1 else image
    grey = np.asarray(small.convert("L"), dtype=np.float64)  # (H, W)
    return (
        brightness,
        grey.std(),
        upper,
        lower,
        sharpness(grey),
        border_colour(np.asarray(small)),
    )


def sharpness(grey: NDArray[np.float64]) -> float:
    """Variance of the Laplacian over the variance of the levels of (H, W); NaN for a flat or a tiny image.

    Pech-Pacheco et al. 2000 measure focus by the Laplacian's variance; divided by the image's, it does not depend on
    the contrast.
    """
    if min(grey.shape) < 3 or grey.var() < _FLAT:
        return float("nan")
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(laplacian.var() / grey.var())


def border_colour(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean colour (3,) of the outermost pixels of (H, W, 3)."""
    wide = max(1, round(_BORDER * min(pixels.shape[:2])))
    inner = np.ones(pixels.shape[:2], dtype=np.bool_)
    inner[wide:-wide, wide:-wide] = False
    return np.asarray(pixels[inner].mean(axis=0), dtype=np.float64)
