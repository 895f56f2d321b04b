import os
from pathlib import Path

import pytest

from thawline.data.sources import folder_walk
from thawline.data.sources.folder_walk import EXTENSIONS, Walk
from thawline.errors import UserError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def images(walk: Walk, root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in walk.images(root)}


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_extension_in_any_case(tmp_path, extension: str) -> None:
    names = {f"x{extension}", f"y{extension.upper()}", f"z{extension}.txt"}
    for name in names:
        (tmp_path / name).touch()
    assert {path.name for path in Walk().images(tmp_path)} == {f"x{extension}", f"y{extension.upper()}"}


@pytest.mark.parametrize(
    "system",
    [
        "@eaDir/x.png",
        "#recycle",
        "$RECYCLE.BIN/S-1-5",
        "lost+found",
        ".Trash-1000/files",
        ".ipynb_checkpoints",
        "__MACOSX",
        "System Volume Information",
        "#snapshot",
        ".thumbnails",
        "@Recycle",
    ],
)
def test_folders_of_systems_hold_no_images(tmp_path: Path, system: str) -> None:
    touch(tmp_path, "a.png", f"{system}/b.png", f"deep/{system}/c.png")
    assert images(Walk(), tmp_path) == {"a.png"}


def test_masks_beside_images_are_left_out_and_counted(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.png", "images/2.png", "masks/1.png", "masks/2.png")
    walk = Walk()
    assert images(walk, tmp_path) == {"images/1.png", "images/2.png"}
    assert walk.masks == {tmp_path / "masks": 2}
    assert len(images(Walk(leave_out=()), tmp_path)) == 4


def test_masks_without_an_images_folder_are_images(tmp_path: Path) -> None:
    touch(tmp_path, "masks/1.png", "faces/1.png")
    assert len(images(Walk(), tmp_path)) == 2


def test_mask_files_of_an_image_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "benign (1).png", "benign (1)_mask.png", "benign (1)_mask_1.png", "lonely_mask.png")
    walk = Walk()
    assert images(walk, tmp_path) == {"benign (1).png", "lonely_mask.png"}
    assert sum(walk.masks.values()) == 2


def test_files_of_other_kinds_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.npy", "c.NPY", "notes.txt", "raw")
    walk = Walk()
    images(walk, tmp_path)
    assert walk.other_kinds == {".npy": 2, ".txt": 1, "without an extension": 1}
    assert walk.strange_kinds() == {".npy": 2, "without an extension": 1}


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    os.symlink("/mnt/unmounted/b", tmp_path / "b")
    with pytest.raises(UserError, match=r"/b is a link to /mnt/unmounted/b, which is not there; .* data.root is the "):
        Walk().subfolders(tmp_path)


def test_a_link_to_itself_is_named(tmp_path: Path) -> None:
    os.symlink(tmp_path / "b", tmp_path / "b")
    with pytest.raises(UserError, match="/b is a link to"):
        Walk().subfolders(tmp_path)


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").mkdir()

    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"secret cannot be read \(Permission denied\); check its permissions"):
        folder_walk.visible(tmp_path / "secret")
