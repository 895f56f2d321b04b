from pathlib import Path

import numpy as np
from PIL import Image

from thawline.inspection.inspected import inspected
from thawline.inspection.shortcut import balanced


def folder(root: Path, *, sizes: tuple[int, int]) -> Path:
    rng = np.random.default_rng(0)
    for name, size in zip("ab", sizes, strict=True):
        (root / name).mkdir()
        for i in range(25):
            pixels = rng.integers(0, 255, (size, size + int(rng.integers(0, 9)), 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def test_classes_of_different_sizes_are_told_apart_by_size(tmp_path: Path) -> None:
    one = inspected(folder(tmp_path, sizes=(40, 60)))
    details = [issue.detail for issue in one.issues if issue.kind == "shortcut"]
    assert any(
        detail.startswith("size and shape: balanced accuracy 1.00 (0.93 to 1.00), chance 0.50") for detail in details
    )
    assert not any(detail.startswith("kind of file") for detail in details)


def test_classes_that_are_alike_are_not(tmp_path: Path) -> None:
    one = inspected(folder(tmp_path, sizes=(50, 50)))
    assert [issue for issue in one.issues if issue.kind == "shortcut"] == []
    (measured,) = one.shortcuts
    assert measured.low < measured.chance == 0.5 < measured.high + 0.2


def test_the_interval_weighs_classes_alike() -> None:
    right = np.array([True] * 90 + [False] * 10 + [True] * 5 + [False] * 5)
    one = balanced("x", right, np.array([0] * 100 + [1] * 10))
    assert one.accuracy == 0.7
    deviation = np.sqrt(92 / 104 * 12 / 104 / 104 + 7 / 14 * 7 / 14 / 14) / 2
    assert np.isclose(one.high - one.accuracy, 1.96 * deviation, atol=1e-4)
