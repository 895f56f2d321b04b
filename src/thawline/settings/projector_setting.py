"""Setting `projector`: how many test images TensorBoard's projector shows."""

from thawline.settings.checks import between

THUMB_SIDE = 32  # pixels; chosen: an image is recognised, and 400 of them take less than a megabyte and a half
_LARGEST_SPRITE = 8192  # pixels a side of all thumbnails in one picture; TensorBoard's projector takes no larger one
MOST_PROJECTED = (_LARGEST_SPRITE // THUMB_SIDE) ** 2
DEFAULT_PROJECTED = 400  # chosen: a plot of more is slow in a browser


def checked_projector(number: int) -> int:
    """
    Raises:
        UserError: It is no number of images that fit into one picture.
    """
    between("projector", number, 0, MOST_PROJECTED)
    return int(number)
