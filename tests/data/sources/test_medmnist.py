"""A file of MedMNIST's: its splits, its labels, its pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thawline.data.sources.medmnist import MedMnistSource
from thawline.errors import UserError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 28, 28), dtype=np.uint8)
LABELS = (np.arange(12) % 3)[:, None].astype(np.uint8)


def saved(path: Path, **arrays: Any) -> Path:
    parts = {"train": slice(0, 6), "val": slice(6, 9), "test": slice(9, 12)}
    body = {f"{part}_images": IMAGES[rows] for part, rows in parts.items()}
    body |= {f"{part}_labels": LABELS[rows] for part, rows in parts.items()}
    np.savez_compressed(path, **(body | arrays))
    return path


def test_the_splits_and_the_pixels(tmp_path: Path) -> None:
    source = MedMnistSource(file=saved(tmp_path / "organ.npz"))
    assert (source.name, list(source.class_names)) == ("organ", ["0", "1", "2"])
    assert {split: rows.tolist() for split, rows in source.splits.items()} == {
        "train": [0, 1, 2, 3, 4, 5], "val": [6, 7, 8], "test": [9, 10, 11],
    }  # fmt: skip
    assert source.labels.tolist() == LABELS[:, 0].tolist()
    assert (np.asarray(source.load(10)) == IMAGES[10][:, :, None]).all()
    assert source.describe(10) == "test/1"


@pytest.mark.parametrize(
    ("arrays", "line"),
    [
        ({"train_labels": np.zeros((6, 14), dtype=np.uint8)}, "14 labels an image; only one class"),
        ({"train_images": np.zeros((6, 28, 28, 28), dtype=np.uint8)}, r"images are uint8 \(28, 28, 28\); needed are"),
        ({"train_labels": LABELS[:5]}, "6 images and 5 labels of the type uint8 do not fit"),
        ({"test_labels": LABELS[9:12] + 5}, "test/ has classes that train/ lacks"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, arrays: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        MedMnistSource(file=saved(tmp_path / "a.npz", **arrays))


def test_no_file_of_medmnists(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        MedMnistSource(file=tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x=IMAGES)
    with pytest.raises(UserError, match=r"has no train_images, it has x; give one of MedMNIST's files"):
        MedMnistSource(file=tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:500])
    with pytest.raises(UserError, match=r"is no \.npz file, or is cut off"):
        MedMnistSource(file=tmp_path / "a.npz")
