"""A file is replaced whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from thawline.atomic import write_atomically


def test_text_and_bytes_are_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.txt", "ä")
    write_atomically(tmp_path / "a.txt", b"new")
    assert (tmp_path / "a.txt").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_what_cannot_be_replaced_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken") as error:
        write_atomically(tmp_path / "taken", "text")
    assert error.value.filename == str(tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize(("name_flushed", "flushed"), [(True, ["file", "folder"]), (False, ["file"])])
def test_a_file_is_flushed_before_it_gets_its_name_and_the_name_where_it_must_last(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name_flushed: bool, flushed: list[str]
) -> None:
    seen: list[str] = []

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        assert (tmp_path / "a.txt").exists() == is_folder
        seen.append("folder" if is_folder else "file")

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomically(tmp_path / "a.txt", "text", name_flushed=name_flushed)
    assert seen == flushed
