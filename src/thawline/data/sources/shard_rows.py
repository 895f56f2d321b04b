"""The images of one shard while its index is made; afterwards NumPy arrays hold them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thawline.data.sources.shard_reading import Place
from thawline.errors import UserError
from thawline.printable import printable


class Rows:
    """Keys, labels, places and sizes; for one shard only, because these are Python objects."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.labels: list[bytes] = []
        self.at: list[int] = []
        self.sizes: list[int] = []

    def add(self, key: str, label: str, *, at: int, size: int) -> None:
        """One image; `at` is its first byte, or the number of its row."""
        self.keys.append(key.encode("utf-8", errors="backslashreplace"))
        self.labels.append(label.encode("utf-8", errors="backslashreplace"))
        self.at.append(at)
        self.sizes.append(size)

    def refuse_repeated(self, place: Place) -> None:
        """Raise `UserError` where a key stands twice."""
        keys, counts = np.unique(np.array(self.keys, dtype=np.bytes_), return_counts=True)
        twice = keys[counts > 1]
        if len(twice):
            shown = printable(twice[0].decode())
            raise UserError(
                f"data.shards: {printable(place.name)} lists {shown} twice, {len(twice)} such images in all; "
                "make the shard anew, with each image once"
            )

    def columns(self, shard: int) -> dict[str, NDArray[Any]]:
        """As arrays, each (n,)."""
        return {
            "shard": np.full(len(self.at), shard, dtype=np.int32),
            "at": np.array(self.at, dtype=np.int64),
            "size": np.array(self.sizes, dtype=np.int64),
            "key": np.array(self.keys, dtype=np.bytes_),
            "label": np.array(self.labels, dtype=np.bytes_),
        }


def label_text(label: Any, where: str) -> str:
    """A class as text; raises `UserError` for none and for several."""
    if isinstance(label, (list, tuple, dict)):
        raise UserError(f"{where} has several labels; only one class an image can be learned")
    text = "" if label is None else str(label).strip()
    if not text:
        raise UserError(f"{where} has an empty label; give one, or remove the image")
    return text
