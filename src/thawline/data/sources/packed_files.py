"""Packed images that are the bytes of image files: each may say how it is decoded."""

from dataclasses import replace
from typing import Any

from PIL import Image

from thawline.data.decode import Pixels, decode_bytes
from thawline.data.sources.packed_images import PackedImages, RowIndex


class FileRows:
    """Bytes of image files, by row; to be derived from.

    Args:
        pixels: How they are decoded.
        state: Changes when any image does.
    """

    def __init__(self, pixels: Pixels, state: str) -> None:
        self.pixels = Pixels(pixels.value_range, pixels.channels, only_8_bit=pixels.value_range is None)
        self.state = state

    def raw(self, row: int) -> bytes:
        raise NotImplementedError

    def name(self, row: int) -> str:
        """What messages call the image."""
        raise NotImplementedError

    def image(self, raw: bytes, row: int, *, shorter: int | None = None) -> Image.Image:
        return decode_bytes(raw, name=self.name(row), pixels=replace(self.pixels, shorter=shorter))


class PackedFiles(PackedImages):
    """The images of an index whose rows are image files; settings are those of `PackedImages`."""

    def __init__(self, files: FileRows, index: RowIndex, *, pixels: Pixels, **settings: Any) -> None:
        self.pixels, self._files = pixels, files
        super().__init__(files, index, **settings)

    def load(self, index: int) -> Image.Image:
        """Return image `index`, mode RGB, in its own size; a large JPEG as `pixels.shorter` says."""
        row = int(self._index.rows[index])
        return self._files.image(self._files.raw(row), row, shorter=self.pixels.shorter)
