"""Class folders, images, a run and a file of predictions named in Latin-1, through every command, in other locales."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from thawline.features.pieces import _read, _write
from thawline.models.weights import _read as read_weights

ROOT = Path(__file__).resolve().parents[2]
TINY = (
    "model.name=test_resnet",
    "model.weights=none",
    "model.image_size=32",
    "data.num_workers=0",
    "data.batch_size=8",
)
TINY += ("trainer.accelerator=cpu", "data=folder", "trainer.max_epochs=2", "strategy=full_fine_tune")
CUT_OFF = ("+callbacks.mine._target_=kill.CutOff", "+callbacks.mine.epoch=1", "+callbacks.mine.batch=1")
LATIN_1 = "de_DE.ISO-8859-1"


def latin_1(name: str) -> str:
    """A name as Python reads its bytes in UTF-8."""
    return os.fsdecode(name.encode("latin-1"))


def ascii_only(_: Path) -> dict[str, str]:
    return {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def in_latin_1(folder: Path) -> dict[str, str]:
    """A locale that glibc compiles for this test; few systems have one."""
    if shutil.which("localedef") is None:
        pytest.skip("localedef is glibc's")
    make = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(folder / LATIN_1)]
    if subprocess.run(make, capture_output=True).returncode:
        pytest.skip("the sources of locales are not installed")
    return {"LC_ALL": LATIN_1, "LOCPATH": str(folder)}


def plant(root: Path) -> Path:
    for number, name in enumerate(("a", latin_1("café"))):
        (root / name).mkdir(parents=True)
        for i in range(12):
            file = io.BytesIO()
            Image.new("RGB", (32, 32), (200 - 5 * i, 60, 60)[:: 1 - 2 * number]).save(file, "PNG")
            (root / name / latin_1(f"ü{i:02}.png")).write_bytes(file.getvalue())
    return root


@pytest.mark.slow
@pytest.mark.parametrize("locale", [ascii_only, in_latin_1])
def test_every_command_takes_names_that_are_not_utf8(tmp_path: Path, locale: Callable[[Path], dict[str, str]]) -> None:
    (tmp_path / "locales").mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *sys.path]), **locale(tmp_path / "locales")}

    def run(*command: str | Path, code: int = 0) -> bytes:
        line = [sys.executable, *map(str, command)]
        done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, timeout=300)
        assert done.returncode == code, (command, done.stderr)
        assert b"Error" not in done.stdout + done.stderr, (command, done.stdout, done.stderr)
        return done.stdout

    images, out = plant(tmp_path / latin_1("Bilder ä")), tmp_path / "out"
    folder, caches = out / latin_1("läuf"), f"cache.dir={tmp_path / latin_1('zwischen ö')}"
    given = (*TINY, f"data.root={images}", f"output_dir={out}", caches)
    cut_off = (*CUT_OFF, f"+callbacks.mine.marker={tmp_path / 'marker'}")
    run("train.py", *given, f"hydra.run.dir={folder}", *cut_off, code=-signal.SIGKILL)
    run("train.py", f"resume={folder}", f"output_dir={out}")
    run("train.py", *given, f"hydra.run.dir={out / 'two'}", "strategy=feature_extraction")
    assert json.loads((folder / "run.json").read_bytes())["classes"]["names"] == ["a", "caf\\xe9"]
    assert b"Bilder \\xe4: 16 training images" in run("scripts/compare.py", out)
    table = tmp_path / latin_1("Antwört.csv")
    run("scripts/predict.py", folder, images, "--out", table, "--explain", tmp_path / latin_1("Wärme"))
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 24
    assert {row["label"] for row in rows} <= {"a", "caf\\xe9"}
    assert {row["error"] for row in rows} == {""}
    run("scripts/evaluate.py", folder, images)
    run("scripts/export.py", folder, "--format", "onnx", "--out", tmp_path / latin_1("für"))
    run("scripts/inspect_images.py", images)


def test_libraries_read_files_whose_names_are_not_utf8(tmp_path: Path) -> None:
    """safetensors takes no other names; on Linux it is given another way to the file."""
    folder = tmp_path / latin_1("ü")
    folder.mkdir()
    rows = torch.arange(6.0).view(3, 2)
    _write(folder / "piece", rows)
    read = _read(folder / "piece", 3)
    assert read is not None
    assert torch.equal(read, rows)
    assert _read(folder / "none", 3) is None
    save_file({"rows": rows}, folder / latin_1("é.safetensors"))
    assert torch.equal(read_weights(folder / latin_1("é.safetensors"))["rows"], rows)
