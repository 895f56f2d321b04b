from collections import Counter

import numpy as np
import pytest

from thawline.data.sources.folder_index import EXTENSIONS, find_images, natural_order, scan


def test_natural_order_is_total_and_stable() -> None:
    assert natural_order(["x10y2", "x2y10", "x2y9", "x2"]) == ["x2", "x2y9", "x2y10", "x10y2"]
    assert natural_order(["a", "A"]) == natural_order(["A", "a"])
    assert natural_order(["01", "1", "001"]) == ["001", "01", "1"]
    assert natural_order(["3 dogs", "dogs", "10 dogs"]) == ["3 dogs", "10 dogs", "dogs"]
    assert natural_order(["1", "-10", "10", "-1"]) == ["-10", "-1", "1", "10"]
    assert natural_order(["x-10", "x-9"]) == ["x-9", "x-10"]
    assert natural_order(["zebra", "école", "fox"]) == ["école", "fox", "zebra"]
    assert natural_order([]) == []


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_extension_in_any_case(tmp_path, extension: str) -> None:
    names = {f"x{extension}", f"y{extension.upper()}", f"z{extension}.txt"}
    for name in names:
        (tmp_path / name).touch()
    assert {path.name for path in find_images(tmp_path, Counter())} == {f"x{extension}", f"y{extension.upper()}"}


def test_index_takes_and_splits(tmp_path) -> None:
    for name in ("train/a/0.png", "train/b/0.png", "val/b/0.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    index = scan(tmp_path)
    assert index.paths.dtype.kind == "U"
    assert {split: list(indices) for split, indices in index.splits().items()} == {"train": [0, 1], "val": [2]}
    kept = index.take(np.array([1, 2]))
    assert list(kept.paths) == ["train/b/0.png", "val/b/0.png"]
    assert {split: list(indices) for split, indices in kept.splits().items()} == {"train": [0], "val": [1]}
