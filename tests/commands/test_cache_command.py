"""`cache` lists what reading images showed beside the stores of frozen stages, and clears it."""

import os
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thawline.commands import cache as command
from thawline.data.decode import Pixels
from thawline.data.sources.folder_content import read_all
from thawline.data.sources.scan_store import ScanStore


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cache", *arguments])
    return command.main()


def test_the_images_of_a_folder_are_listed_and_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    images, folder = tmp_path / "[red] images", tmp_path / "thawline"
    images.mkdir()
    Image.new("RGB", (4, 4)).save(images / "a.png")
    os.utime(images / "a.png", (1, 1))
    read_all(images, np.array(["a.png"]), store=ScanStore(folder, images, Pixels()))
    assert run(monkeypatch) == 0
    assert f"1 image read in {images}" in capsys.readouterr().out
    assert run(monkeypatch, "--clear") == 0
    assert "Removed 1 store, " in capsys.readouterr().out
    assert list(folder.iterdir()) == []


def test_the_largest_have_a_line_and_the_others_one_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    for number in range(23):
        (tmp_path / f"store{number:02}").mkdir()
        (tmp_path / f"store{number:02}" / "rows").write_bytes(bytes(number * 100_000))
        os.utime(tmp_path / f"store{number:02}" / "rows", (1_000_000_000, 1_000_000_000))
    assert run(monkeypatch, "--dir", str(tmp_path)) == 0
    total, heading, largest, *others, rest = capsys.readouterr().out.splitlines()
    assert total == f"23 stores, 25.3 MB in {tmp_path}"
    assert heading.split()[-2:] == ["last", "used"]
    assert largest.split()[0] == "store22"
    assert f" 2.2 MB {datetime.fromtimestamp(1_000_000_000):%Y-%m-%d %H:%M}" in " ".join(largest.split())
    assert len(others) == 19
    assert rest == "and 3 more, 0.3 MB (--all lists them)"
    assert run(monkeypatch, "--all", "--dir", str(tmp_path)) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 23
