"""MedMNIST's files: small medical images in one .npz, with their splits."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thawline.data.sources.class_checks import check_labels
from thawline.data.sources.packed_images import PackedImages, RowIndex
from thawline.data.sources.source import SPLITS, Split
from thawline.errors import UserError, first_line
from thawline.printable import printable


class MedMnistSource(PackedImages):
    """The images of one .npz: `train_images`, `train_labels`, and the same of `val` and `test`.

    Images are (N, H, W) or (N, H, W, 3), uint8; labels (N,) or (N, 1). All of them lie in memory.

    Args:
        file: The .npz, as MedMNIST offers it.
        settings: Those of `PackedImages`, from `verify` on.
    Raises:
        UserError: The file is missing, is none of MedMNIST's, or has several labels an image.
    """

    def __init__(self, *, file: str | Path | None, **settings: Any) -> None:
        if file is None or not str(file).strip():
            raise UserError("data.file is not set: give data.file=FILE.npz, one of MedMNIST's")
        path = Path(file).expanduser().absolute()
        where = f"data.file={printable(file)}"
        parts = _parts(path, where)
        images = np.concatenate([images for images, _ in parts.values()])
        labels = np.concatenate([labels for _, labels in parts.values()])
        values, numbers = np.unique(labels, return_inverse=True)
        names = [str(value) for value in values]
        split = np.concatenate([np.full(len(y), SPLITS.index(part)) for part, (_, y) in parts.items()])
        check_labels(where, names, numbers, split)
        paths = np.array([f"{part}/{row}" for part, (_, y) in parts.items() for row in range(len(y))], dtype=np.str_)
        rows = np.arange(len(labels), dtype=np.int64)
        index = RowIndex(names, paths, numbers.astype(np.int64), split.astype(np.int64), named_by_path=False, rows=rows)
        state = f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}"
        super().__init__(_Pixels(images, state), index, name=printable(path.stem), where=where, **settings)


class _Pixels:
    """Images in one array, (N, H, W) or (N, H, W, 3), uint8."""

    def __init__(self, images: NDArray[np.uint8], state: str) -> None:
        self.images, self.state = images, state

    def raw(self, row: int) -> bytes:
        return bytes(self.images[row].tobytes())

    def image(self, raw: bytes, row: int) -> Image.Image:
        return Image.fromarray(self.images[row]).convert("RGB")


def _parts(path: Path, where: str) -> dict[Split, tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    if not path.is_file():
        raise UserError(f"{where}: no such file (looked for {printable(path)})")
    try:
        with np.load(path, allow_pickle=False) as stored:
            present = [split for split in SPLITS if f"{split}_images" in stored.files]
            if "train" not in present:
                held = ", ".join(stored.files[:8])
                raise UserError(f"{where}: has no train_images, it has {held}; give one of MedMNIST's files")
            return {split: _checked(stored[f"{split}_images"], stored[f"{split}_labels"], where) for split in present}
    except UserError:
        raise
    except Exception as error:  # NumPy, zip and zlib each have kinds of their own
        raise UserError(f"{where}: is no .npz file, or is cut off ({first_line(error)}); download it again") from error


def _checked(images: NDArray[Any], labels: NDArray[Any], where: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    flat = labels.reshape(len(labels), -1)
    if flat.shape[1] != 1:
        raise UserError(f"{where}: {flat.shape[1]} labels an image; only one class an image can be learned")
    if images.dtype != np.uint8 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 3)):
        raise UserError(f"{where}: images are {images.dtype} {images.shape[1:]}; needed are uint8, (H, W) or (H, W, 3)")
    if len(images) != len(flat) or not np.issubdtype(flat.dtype, np.integer):
        raise UserError(f"{where}: {len(images)} images and {len(flat)} labels of the type {flat.dtype} do not fit")
    return images, flat[:, 0].astype(np.int64)
