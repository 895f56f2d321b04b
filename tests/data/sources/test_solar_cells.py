import importlib.util

import numpy as np
import pytest

from thawline.data.sources.solar_cells import SolarCells, read_labels
from thawline.errors import UserError


def test_all_cells() -> None:
    source = SolarCells()
    # Lines of the package's labels.csv, counted by `grep -c`.
    np.testing.assert_array_equal(np.bincount(source.labels), [1508, 295, 106, 715])
    assert len(source.groups) == 2624
    assert source.splits == {}
    assert len(source.class_names) == 4


def test_subset_of_800_by_hand() -> None:
    # 800 / 2624 of 1508, 295, 106, 715: 459.76, 89.94, 32.32, 217.99 -> two of the three missing go to .99 and .94.
    source = SolarCells(num_images=800)
    np.testing.assert_array_equal(np.bincount(source.labels), [460, 90, 32, 218])
    image = source.load(17)
    assert (image.mode, image.size) == ("RGB", (300, 300))
    assert source.describe(17).endswith(".png")


def test_subset_and_fingerprint_follow_the_seed() -> None:
    digests = [SolarCells(num_images=20, subset_seed=seed).fingerprint() for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def test_table_is_read_by_column(tmp_path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(
        "images/a.png  1.0                 mono\nimages/b.png  0.3333333333333333  poly\n"
        "images/c.png  0.0                 poly\nimages/d.png  0.6666666666666666  mono\n\n"
    )
    names, labels = read_labels(table)
    assert names == ["images/a.png", "images/b.png", "images/c.png", "images/d.png"]
    np.testing.assert_array_equal(labels, [3, 1, 0, 2])


@pytest.mark.parametrize("num_images", [7, 2625])
def test_size_out_of_range(num_images: int) -> None:
    with pytest.raises(UserError, match=rf"num_images={num_images}: solar_cells allows 8 to 2624, or null"):
        SolarCells(num_images=num_images)


def test_missing_package_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'pip install "thawline\[demo\]"'):
        SolarCells()
