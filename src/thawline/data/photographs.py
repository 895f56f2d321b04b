"""Everyday photographs from installed packages. They stand in for the images that backbones were trained on."""

from PIL import Image

from thawline.data.decode import decode
from thawline.data.sources.photo_crops import PHOTOS, photo_path


def photographs() -> list[Image.Image]:
    """The 12 photographs of scikit-image and scikit-learn, each whole and as four quarters; mode RGB.

    Raises:
        UserError: One of the packages is not installed.
    """
    return [part for photo in PHOTOS for part in _parts(decode(photo_path(photo)))]


def _parts(photo: Image.Image) -> list[Image.Image]:
    width, height = photo.width // 2, photo.height // 2
    corners = [(x, y) for y in (0, height) for x in (0, width)]
    return [photo, *(photo.crop((x, y, x + width, y + height)) for x, y in corners)]
