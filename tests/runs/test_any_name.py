"""Whole runs on folders and classes with names that a newcomer's disk may hold."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thawline.deploy.loaded import load
from thawline.report.run_record import load_record

CLASSES = ("$0_$50", "[red] [bold]", "사진, a=b", os.fsdecode(b"caf\xe9"), "two\nlines", 'it\'s "x" {y} ${z}')


def plant(root: Path, names: tuple[str, ...] = CLASSES, each: int = 4) -> Path:
    """Classes of small images, all different."""
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for i in range(each):
            pixels = np.random.default_rng(100 * number + i).integers(0, 256, (32, 32, 3), dtype=np.uint8)
            (root / name / f"{i}.png").touch()
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


TINY = ("scenario=small_similar", "data=folder", "model.name=test_resnet", "model.weights=none", "model.image_size=32")
TINY += ("data.num_workers=0", "trainer.accelerator=cpu", "trainer.max_epochs=1", "data.batch_size=8")


@pytest.mark.parametrize(
    "name", ["dataset (1), [a] {b} 'c' \"d\" $e ~f", "~x = 사진 \\\nline", os.fsdecode(b"caf\xe9 [/red]")]
)
def test_no_name_ends_a_run(run_cli, tmp_path: Path, name: str) -> None:
    root, folder = plant(tmp_path / name / "images"), tmp_path / name / name
    (tmp_path / name / "images" / "two\nlines" / os.fsdecode(b"bad\xe9\n.png")).write_bytes(b"no image")
    done = run_cli(*TINY, f"data.root={root}", f"hydra.run.dir={folder}", "data.on_unreadable=skip")
    assert done.code == 0, done.err
    assert "Logging error" not in done.err
    record = load_record(folder / "run.json")
    assert record.status == "completed"
    assert sorted(record.classes.names) == sorted(
        ["$0_$50", "[red] [bold]", "사진, a=b", "caf\\xe9", "two\\nlines", 'it\'s "x" {y} ${z}']
    )
    assert "1 unreadable image is left out" in done.out
    assert json.loads((folder / "run.json").read_text())["status"] == "completed"
    (predicted,) = load(folder).predict([root / "$0_$50" / "0.png"])
    assert predicted.label in record.classes.names


def test_a_folder_whose_name_looks_like_an_interpolation(run_cli, tmp_path: Path) -> None:
    root, folder = plant(tmp_path / "${nowhere} \\${x}", ("x", "y")), tmp_path / "out" / "run"
    done = run_cli(*TINY, f"data.root={root}", f"hydra.run.dir={folder}")
    assert done.code == 0, done.err
    cut_off = load_record(folder / "run.json")
    cut_off.status = "interrupted"
    cut_off.save(folder)
    assert run_cli(f"resume={folder}").code == 0


def test_a_run_in_a_folder_of_any_name_goes_on(run_cli, tmp_path: Path) -> None:
    root, folder = plant(tmp_path / "a,b (1)", ("x", "$y$")), tmp_path / "out" / "run = 사진, [1] 'q'"
    assert run_cli(*TINY, f"data.root={root}", f"hydra.run.dir={folder}").code == 0
    cut_off = load_record(folder / "run.json")
    cut_off.status = "interrupted"
    cut_off.save(folder)
    done = run_cli(f"resume={folder}")
    assert done.code == 0, done.err
    assert load_record(folder / "run.json").status == "completed"


@pytest.mark.slow
def test_a_sweep_over_a_folder_of_any_name(run_cli, tmp_path: Path) -> None:
    root = plant(tmp_path / "a,b (1) 'q' = 사진", ("x", "[y]"))
    done = run_cli("-m", *TINY, f"data.root={root}", "seed=0,1")
    assert done.code == 0, done.err
    runs = sorted((tmp_path / "out" / "multirun").glob("*/*/run.json"))
    assert [path.parent.name for path in runs] == ["0_seed=0", "1_seed=1"]
    assert {load_record(path).status for path in runs} == {"completed"}
