"""Images as arrays in memory-mapped files, small enough to travel and large enough for random crops."""

import io
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Chosen: the shorter side. The smallest random crop, 0.6 of the area at an aspect ratio of 3/4, has a side of 0.67 of
# the image's, 113 pixels: none is enlarged to become 112.
SIDE = 168
_CHUNK = 50  # images that one process makes at a time
_ABOUT = ("labels", "groups", "class_names", "train", "val", "test")


def name_of(task: str) -> str:
    """Of a task's images: tasks of the same images differ in a number at the end."""
    return re.sub(r"_\d+$", "", task)


@dataclass
class Pictures:
    """An image source whose images lie in memory; `splits` are the source's own, or those of a seed."""

    name: str
    pixels: NDArray[np.uint8]  # (N, H, W, 3)
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    class_names: Sequence[str]
    splits: Mapping[Any, NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, name: str) -> "Pictures":
        about = _about(np.load(folder / f"{name}.npz"))
        return cls(name, np.load(folder / f"{name}.npy", mmap_mode="r"), **about)

    def load(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels[index])

    def describe(self, index: int) -> str:
        return f"{self.name} {index}"

    def fingerprint(self) -> str:
        return self.name


def _about(body: Any) -> dict[str, Any]:
    splits = {name: body[name] for name in ("train", "val", "test") if name in body}
    names = [str(name) for name in body["class_names"]]
    return {"labels": body["labels"], "groups": body["groups"], "class_names": names, "splits": splits}


def _columns(source: Any) -> dict[str, Any]:
    arrays = {"labels": source.labels, "groups": source.groups, "class_names": np.array(source.class_names)}
    return {**arrays, **source.splits}


def shrunk(image: Image.Image) -> Image.Image:
    """The image with its shorter side at `SIDE` pixels at most."""
    share = SIDE / min(image.size)
    if share >= 1:
        return image
    return image.resize((round(image.width * share), round(image.height * share)), Image.Resampling.BICUBIC)


def pack(source: Any, path: Path, *, quality: int | None) -> None:
    """Write a source's images as one file that can travel.

    Args:
        quality: Of JPEG; None keeps every bit.
    """
    files = [_encoded(shrunk(source.load(index)), quality) for index in range(len(source.labels))]
    ends = np.cumsum([len(file) for file in files])
    np.savez(path, data=np.frombuffer(b"".join(files), dtype=np.uint8), ends=ends, **_columns(source))


def _encoded(image: Image.Image, quality: int | None) -> bytes:
    red, green, blue = image.split()
    grey = red.tobytes() == green.tobytes() == blue.tobytes()
    file = io.BytesIO()
    kind: dict[str, Any] = {"format": "PNG"} if quality is None else {"format": "JPEG", "quality": quality}
    (red if grey else image).save(file, optimize=True, **kind)
    return file.getvalue()


class _Packed:
    """A source read from the file that `pack` wrote."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as body:
            self._data, self._ends = body["data"], body["ends"]
            self.about = {name: body[name] for name in _ABOUT if name in body}
        self.labels = self.about["labels"]

    def load(self, index: int) -> Image.Image:
        start = self._ends[index - 1] if index else 0
        return Image.open(io.BytesIO(self._data[start : self._ends[index]].tobytes())).convert("RGB")


def make_arrays(names: Sequence[str], carried: Path, folder: Path, *, processes: int) -> dict[str, str]:
    """Make the array of every source that `folder` lacks, from what is carried, or else from the product's source.

    Returns:
        Name -> what went wrong, for those that could not be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in names if not (folder / f"{name}.npy").is_file()]
    errors: dict[str, str] = {}
    with ProcessPoolExecutor(max(1, processes), mp_context=get_context("spawn")) as pool:
        about = {name: pool.submit(_described, name, carried) for name in missing}
        chunks: dict[str, list[Any]] = {}
        for name in missing:
            try:
                starts = range(0, len(about[name].result()["labels"]), _CHUNK)
                chunks[name] = [pool.submit(_pixels, name, carried, start) for start in starts]
            except Exception as error:  # the other tasks go on without it
                errors[name] = f"{type(error).__name__}: {error}"
        for name, parts in chunks.items():
            try:
                _write(folder, name, np.concatenate([part.result() for part in parts]), about[name].result())
            except Exception as error:
                errors[name] = f"{type(error).__name__}: {error}"
    return errors


def _write(folder: Path, name: str, pixels: NDArray[np.uint8], about: dict[str, Any]) -> None:
    np.savez(folder / f"{name}.npz", **about)
    part = folder / f"{name}.part.npy"
    np.save(part, pixels)
    os.replace(part, folder / f"{name}.npy")


@cache
def _source(name: str, carried: Path) -> Any:
    if (path := carried / f"{name}.npz").is_file():
        return _Packed(path)
    from default_settings import product_parts as product  # here: what is carried needs none of it

    return product.source_of(name, carried / "photos")


def _described(name: str, carried: Path) -> dict[str, Any]:
    source = _source(name, carried)
    return source.about if isinstance(source, _Packed) else _columns(source)


def _pixels(name: str, carried: Path, start: int) -> NDArray[np.uint8]:
    """Images start .. start + _CHUNK - 1, (N, H, W, 3)."""
    source = _source(name, carried)
    indices = range(start, min(start + _CHUNK, len(source.labels)))
    return np.stack([np.asarray(shrunk(source.load(index))) for index in indices])
