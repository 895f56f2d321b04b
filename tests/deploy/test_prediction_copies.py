"""Images are sorted into folders of their labels."""

from pathlib import Path

import pytest

from thawline.atomic import CannotWrite
from thawline.deploy.label_folders import label_folders
from thawline.deploy.prediction_copies import Copies, checked_folder, copy_to
from thawline.errors import UserError


def test_copies_keep_their_names_and_two_images_of_one_name_are_both_there(tmp_path: Path) -> None:
    for folder, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jpg").write_bytes(content)
    for _ in range(2):  # the second time, as after an interruption, changes nothing
        for folder in ("a", "b", "c"):
            copy_to(tmp_path / "out" / "cat", str(tmp_path / folder / "x.jpg"))
    copies = sorted((tmp_path / "out" / "cat").iterdir())
    assert sorted(path.read_bytes() for path in copies) == [b"1", b"2"]
    assert copies[1].name == "x.jpg"
    assert copies[0].name.startswith("x-")


def test_labels_that_would_share_a_folder_do_not(tmp_path: Path) -> None:
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    copies = Copies(tmp_path / "out", label_folders(["a/b", "a_b"]))
    for _ in range(2):  # the second time, as after an interruption, changes nothing
        copies.add(str(tmp_path / "1.jpg"), "a/b")
        copies.add(str(tmp_path / "2.jpg"), "a_b")
    assert sorted(path.parent.name for path in (tmp_path / "out").rglob("*.jpg")) == ["a_b", "a_b-c14cddc0"]
    assert (tmp_path / "out" / "a_b" / "2.jpg").read_bytes() == b"2.jpg"


def test_copies_do_not_lie_among_the_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sorted: lies in .*, whose images are predicted"):
        checked_folder(tmp_path / "sorted", [tmp_path])
    assert checked_folder(tmp_path / "sorted", [tmp_path / "images"]) == tmp_path / "sorted"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="is a file; name a folder"):
        checked_folder(tmp_path / "file", [])


def test_a_copy_that_cannot_be_written_ends_in_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"1")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cat").write_bytes(b"")
    with pytest.raises(CannotWrite):
        copy_to(tmp_path / "out" / "cat", str(tmp_path / "x.jpg"))


def test_an_image_that_is_gone_since_it_was_read_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy_to(tmp_path / "out" / "cat", str(tmp_path / "gone.jpg"))
    assert "gone.jpg is gone since it was read: there is no copy of it." in caplog.text
    assert not (tmp_path / "out").exists()
