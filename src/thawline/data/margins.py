"""Which part of a reduced image stands for its file.

libjpeg reduces 1,001 pixels by 8 to 126, which stand for 1,008: the last one shows one column of the file and copies of
it. Resized as they are, they would be shifted against the whole file, by up to a pixel of the model's input.
So an image knows its margins, and a resize begins and ends within them.
"""

from typing import NamedTuple

from PIL import Image

Margins = tuple[int, int, int, int]  # left, top, right, bottom, in eighths of a pixel, 0 to 7
Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels
NO_MARGINS = (0, 0, 0, 0)
_PER_PIXEL = 8  # libjpeg reduces by 8 at most, so that margins are whole numbers of eighths
_INFO = "thawline_margins"  # in Pillow's `info`, which images that are turned or converted keep
# EXIF's orientations whose turn swaps the axes first, then left and right, then top and bottom.
_AXES, _ACROSS, _UPSIDE_DOWN = {5, 6, 7, 8}, {2, 3, 6, 7}, {3, 4, 7, 8}


class Shown(NamedTuple):
    """The part of an image within its margins, in pixels."""

    left: float
    top: float
    width: float
    height: float

    @property
    def box(self) -> Box:
        return self.left, self.top, self.left + self.width, self.top + self.height


def margins_after(reduced: tuple[int, int], box: Box) -> Margins:
    """Of the reduced image, width and height; `box` is what `Image.draft` says of it."""
    (width, height), (left, top, right, bottom) = reduced, box
    return (*(round(_PER_PIXEL * side) for side in (left, top, width - right, height - bottom)),)  # type: ignore[return-value]


def with_margins(image: Image.Image, margins: Margins) -> Image.Image:
    """The same image, which knows its margins from now on."""
    image.info.pop(_INFO, None)
    if margins != NO_MARGINS:
        image.info[_INFO] = margins
    return image


def margins_of(image: Image.Image) -> Margins:
    margins: Margins = image.info.get(_INFO, NO_MARGINS)
    return margins


def turned_margins(margins: Margins, orientation: int) -> Margins:
    """Of the image turned and mirrored as an EXIF orientation says."""
    left, top, right, bottom = margins
    if orientation in _AXES:
        left, top, right, bottom = top, left, bottom, right
    if orientation in _ACROSS:
        left, right = right, left
    if orientation in _UPSIDE_DOWN:
        top, bottom = bottom, top
    return left, top, right, bottom


def shown(image: Image.Image) -> Shown:
    """What of the image stands for its file: all of it, but for its margins."""
    left, top, right, bottom = (side / _PER_PIXEL for side in margins_of(image))
    return Shown(left, top, image.width - left - right, image.height - top - bottom)


def resized(
    image: Image.Image, size: tuple[int, int], filter_: Image.Resampling, *, box: Box | None = None
) -> Image.Image:
    """`box` of the image, or all within its margins, as an image of `size` without margins."""
    return with_margins(image.resize(size, filter_, box=box or shown(image).box), NO_MARGINS)
