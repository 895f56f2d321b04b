"""`cache` lists what reading images showed beside the stores of frozen stages, and clears it."""

import os
import sys
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
    assert f"1 images read in {images}" in capsys.readouterr().out
    assert run(monkeypatch, "--clear") == 0
    assert "Removed 1 stores" in capsys.readouterr().out
    assert list(folder.iterdir()) == []
