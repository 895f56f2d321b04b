import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thawline.data.sources.excluded import KEEPS
from thawline.data.sources.folder import FolderSource
from thawline.data.sources.table import TableSource
from thawline.errors import UserError
from thawline.inspection.issue import KIND

ODD = os.fsdecode(b"caf\xe9, 1\n.png")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    for label, name in enumerate("ab"):
        (root / name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (8, 8), (40 * i, 100 * label, 9)).save(root / name / f"{i}.png")
    Image.new("RGB", (8, 8), (1, 2, 3)).save(root / "a" / ODD, "PNG")
    return root


def table(root: Path, *rows: str, header: str = "path,issue") -> str:
    file = root.parent / "issues.csv"
    file.write_bytes("\n".join([header, *rows]).encode("utf-8", errors="surrogateescape"))
    return str(file)


def paths(source: FolderSource | TableSource) -> list[str]:
    return [str(source.path(i).relative_to(source.root)) for i in range(len(source.labels))]


def test_the_images_of_the_rows_are_left_out_and_counted(images: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = table(images, f'"a/{ODD}",copy', f"{images}/b/1.png,label", ",imbalance", "a/2.png,cropped", "a/9.png,copy")
    caplog.set_level(logging.INFO)
    source = FolderSource(root=images, exclude=file)
    assert paths(source) == ["a/0.png", "a/1.png", "a/2.png", "a/3.png", "b/0.png", "b/2.png", "b/3.png"]
    assert source.excluded is not None
    assert (source.excluded.file, source.excluded.images, len(source.excluded.sha256)) == (file, 2, 64)
    assert f"data.exclude={file}: left out are 2 of 9 images (1 copy, 1 label)." in caplog.messages
    assert f"data.exclude={file}: 1 row of cropped, odd_file, odd_size leaves nothing out." in caplog.messages
    assert f"data.exclude={file}: 1 path is no image of this set: a/9.png" in caplog.messages
    assert source.fingerprint() != FolderSource(root=images).fingerprint()


def test_what_is_left_out_is_not_read_and_max_images_counts_the_rest(images: Path) -> None:
    (images / "a" / "0.png").write_bytes(b"no image")
    source = FolderSource(root=images, exclude=table(images, "a/0.png", header="path"), max_images=8)
    assert len(source.labels) == 8


def test_a_table_is_excluded_from_too(images: Path) -> None:
    listed = images / "all.csv"
    listed.write_text("path,label\n" + "\n".join(f"{name}/{i}.png,{name}" for name in "ab" for i in range(4)))
    source = TableSource(file=listed, exclude=table(images, "b/0.png,blank"))
    assert np.bincount(source.labels).tolist() == [4, 3]


@pytest.mark.parametrize(
    ("rows", "header", "says"),
    [
        (["x/0.png"], "path", "none of its 1 paths is an image of data.root="),
        (["a/0.png"], "file,issue", "has no column 'path'; it has file, issue"),
        ([f"b/{i}.png" for i in range(4)], "path", "leaves no image of class 'b'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(images: Path, rows: list[str], header: str, says: str) -> None:
    with pytest.raises(UserError, match=f"^data.exclude=.*{says}"):
        FolderSource(root=images, exclude=table(images, *rows, header=header))


def test_a_table_that_is_not_there_is_refused(images: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        FolderSource(root=images, exclude=str(images / "none.csv"))


def test_issues_that_keep_their_images_are_kinds_of_issues() -> None:
    assert KIND.keys() >= KEEPS
