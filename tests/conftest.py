"""A data source of four flat-coloured classes and a tiny classifier, shared by the tests."""

import gc
import importlib
import logging
import os
import runpy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from thawline import invocation
from thawline.data.sources.source import IntArray, Split
from thawline.machine.processes import num_cores
from thawline.models.backbone import Backbone, build_backbone


def pytest_configure() -> None:
    """Share the cores out among the processes that run the tests, and pass their share on to what they start."""
    share = max(1, num_cores() // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    torch.set_num_threads(share)
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(share)


@pytest.fixture(autouse=True)
def invocation_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that starts a command leaves no trace of how in the messages of the next."""
    monkeypatch.setattr(invocation, "_current", invocation.INSTALLED)


COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (180, 180, 40))


class ColourSource:
    """Image i shows colour i % 4 with noise: separable, 40 x 40 pixels."""

    name = "colours"
    class_names = ("red", "green", "blue", "yellow")

    def __init__(self, num_images: int = 40) -> None:
        self.labels: IntArray = np.arange(num_images, dtype=np.int64) % len(COLOURS)
        self.groups: IntArray = np.arange(num_images, dtype=np.int64)
        self.splits: dict[Split, IntArray] = {}

    def load(self, index: int) -> Image.Image:
        noise = np.random.default_rng(index).integers(-30, 30, (40, 40, 3))
        pixels = np.clip(np.array(COLOURS[self.labels[index]]) + noise, 0, 255)
        return Image.fromarray(pixels.astype(np.uint8))

    def describe(self, index: int) -> str:
        return f"colour {index}"

    def fingerprint(self) -> str:
        return f"colours-{len(self.labels)}"


@pytest.fixture
def colours() -> ColourSource:
    return ColourSource()


@pytest.fixture
def tiny_backbone() -> Backbone:
    """A ResNet of 0.5 M parameters with BatchNorm, 7 stages, random weights."""
    torch.manual_seed(0)
    return build_backbone("test_resnet", weights="none", image_size=32)


@dataclass
class Outcome:
    """What a command line left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


RunCli = Callable[..., Outcome]
ROOT = Path(__file__).resolve().parents[1]
# Enough to go through every step of a run, on a CPU, in seconds.
TINY_RUN = ("model.image_size=64", "data.batch_size=8", "data.num_workers=0", "trainer.accelerator=cpu")
TINY_RUN += ("trainer.max_steps=2", "+trainer.limit_val_batches=1", "+trainer.limit_test_batches=1")


@pytest.fixture
def tiny_run() -> tuple[str, ...]:
    return TINY_RUN


@cache
def keep_libraries_out_of_collections() -> None:
    """Every run collects garbage several times; a look at all that the libraries hold takes a third of a second."""
    importlib.import_module("thawline.runs.run")
    gc.collect()
    gc.freeze()


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[RunCli]:
    """Run `python train.py ARGS` in this process, with outputs below tmp_path / "out"."""
    keep_libraries_out_of_collections()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setenv("COLUMNS", "120")
    # What the first run on images says of shortcuts is tested by itself; on flat images it takes most of a tiny run.
    monkeypatch.setattr("thawline.inspection.first_look.shortcuts", lambda *_, **__: [])

    def run(*args: str, script: str = "train.py") -> Outcome:
        monkeypatch.setattr(
            sys, "argv", [script, *args, f"output_dir={tmp_path / 'out'}", f"cache.dir={tmp_path / 'cache'}"]
        )
        code = 0
        try:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    yield run
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    root.handlers, root.level = handlers, level


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Two class folders, `cats` and `dogs`, with 12 flat images of 32 x 32 pixels each, all different."""
    folder = tmp_path / "images"
    for label, name in enumerate(("cats", "dogs")):
        (folder / name).mkdir(parents=True)
        for i in range(12):
            colour = (200 - 5 * i, 60, 60) if label == 0 else (60, 60, 200 - 5 * i)
            Image.new("RGB", (32, 32), colour).save(folder / name / f"{i:02}.png")
    return folder
