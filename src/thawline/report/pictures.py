"""Pictures that a page holds in itself."""

import base64
import io

from PIL import Image

_SHOWN_SIDE = 224  # pixels at most; chosen: about what a screen shows, and 24 images with heatmaps stay below 1 MB
_QUALITY = 82  # of JPEG


def data_uri(picture: Image.Image, *, side: int = _SHOWN_SIDE) -> str:
    """A JPEG of the picture, reduced so that no side is longer than `side` pixels."""
    small = picture.copy()
    small.thumbnail((side, side))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
