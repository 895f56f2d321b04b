from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thawline.data.sources.folder import FolderSource
from thawline.data.sources.grouping import joined
from thawline.data.splits import splits_of
from thawline.errors import UserError
from thawline.settings.data_settings import LoaderSettings


def clips(root: Path, prefix: str = "") -> Path:
    """12 clips of 5 noisy frames, half of them of each class."""
    rng = np.random.default_rng(0)
    for clip in range(12):
        scene = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize((32, 32))
        folder = root / prefix / "ab"[clip % 2]
        folder.mkdir(parents=True, exist_ok=True)
        for frame in range(5):
            pixels = np.asarray(scene) + rng.normal(0, 3, (32, 32, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"clip{clip:02}_{frame}.png")
    return root


@pytest.mark.parametrize("group_by", [r"(clip\d+)_", "near_copies"])
def test_no_group_lies_in_two_splits(tmp_path: Path, group_by: str) -> None:
    source = FolderSource(root=clips(tmp_path), group_by=group_by)
    assert len(set(source.groups.tolist())) == 12
    splits = splits_of(source, LoaderSettings())
    clip = np.array([Path(source.describe(i)).name[:6] for i in range(60)])
    owners = [set(clip[images]) for images in splits.values()]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 12


def test_names_of_groups_are_kept(tmp_path: Path) -> None:
    source = FolderSource(root=clips(tmp_path), group_by=r"clip(\d+)_")
    assert source.group_names[:6].tolist() == ["00"] * 5 + ["02"]
    assert set(FolderSource(root=tmp_path).group_names) == {""}


def test_copies_join_named_groups() -> None:
    joint = joined([np.array([0, 1, 2, 0]), np.array([5, 5, 6, 7])])
    assert joint[0] == joint[1] == joint[3] != joint[2]


@pytest.mark.parametrize(
    ("group_by", "words"),
    [
        ("clip(", r"is no regular expression \(missing \), unterminated subpattern"),
        ("clip", r"put the part of the path that names the group in parentheses"),
        (r"(clip0\d)", r"does not match 10 of 60 paths, first: a/clip10_0.png; widen the expression"),
    ],
)
def test_an_expression_that_does_not_fit_is_refused(tmp_path: Path, group_by: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        FolderSource(root=clips(tmp_path), group_by=group_by)


def test_near_copies_need_reading(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.group_by=near_copies needs data.verify=true"):
        FolderSource(root=clips(tmp_path), group_by="near_copies", verify=False)


def test_a_group_in_two_given_splits_is_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        clips(tmp_path, split)
    with pytest.raises(
        UserError, match=r"group 'clip00' lies in train and in test \(train/a/clip00_0.png, test/a/clip"
    ):
        FolderSource(root=tmp_path, group_by=r"(clip\d+)")
