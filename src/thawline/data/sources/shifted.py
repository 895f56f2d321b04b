"""The images of another source, changed: inverted, edges only, or at low resolution."""

from collections.abc import Callable, Mapping, Sequence

from PIL import Image, ImageFilter, ImageOps

from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.source import FloatArray, ImageSource, IntArray, Split
from thawline.errors import UserError

RULE_VERSION = 1  # raise it whenever a change below alters any image: it enters the fingerprint
LOW_RESOLUTION = 24  # pixels on the longer side; chosen: objects are barely told apart by eye


def inverted(image: Image.Image) -> Image.Image:
    """Every value v becomes 255 - v."""
    return ImageOps.invert(image)


def edges(image: Image.Image) -> Image.Image:
    """Grey edges on black: Pillow's FIND_EDGES, a 3 x 3 Laplacian."""
    return image.convert("L").filter(ImageFilter.FIND_EDGES).convert("RGB")


def low_resolution(image: Image.Image) -> Image.Image:
    """As if taken with `LOW_RESOLUTION` pixels, then enlarged again."""
    small = ImageOps.contain(image, (LOW_RESOLUTION, LOW_RESOLUTION), Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.BICUBIC)


SHIFTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "inverted": inverted,
    "edges": edges,
    "low_resolution": low_resolution,
}


class Shifted:
    """A source with every image shifted; labels, groups, weights and splits stay.

    Args:
        source: Any image source.
        shift: `inverted`, `edges` or `low_resolution`.
    Raises:
        UserError: there is no such shift.
    """

    def __init__(self, source: ImageSource, *, shift: str) -> None:
        if shift not in SHIFTS:
            raise UserError(f"data.source.shift={shift}: allowed are {', '.join(SHIFTS)}")
        self._source = source
        self._shift = shift
        self.name = f"{source.name}_{shift}"
        self.class_names: Sequence[str] = source.class_names
        self.labels: IntArray = source.labels
        self.groups: IntArray = source.groups
        self.weights: FloatArray | None = getattr(source, "weights", None)
        self.splits: Mapping[Split, IntArray] = source.splits

    def load(self, index: int) -> Image.Image:
        """Return image `index`, mode RGB, as large as the source's."""
        return SHIFTS[self._shift](self._source.load(index))

    def describe(self, index: int) -> str:
        return f"{self._source.describe(index)}, {self._shift}"

    def fingerprint(self) -> str:
        return fingerprint(RULE_VERSION, LOW_RESOLUTION, self._shift, self._source.fingerprint())
