"""A tiny completed run of each strategy, made once; and the images it was tested on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from thawline import train

CLASSES = {"blue": (20, 40, 200), "green": (30, 180, 40), "red": (200, 30, 30)}
TINY = (
    "model.name=test_resnet", "model.image_size=32", "data.batch_size=8", "data.num_workers=0", "data=folder",
    "trainer.accelerator=cpu", "trainer.max_epochs=2",
)  # fmt: skip
Made = Callable[[str], Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that need a run go to one process, which makes each once; servers so do not compete for the cores either."""
    for item in items:
        if "made" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("deploy"))


@pytest.fixture(scope="session")
def colour_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/, val/ and test/, each with images of three colours, of different sizes and with noise."""
    root = tmp_path_factory.mktemp("colours")
    generator = np.random.default_rng(0)
    for split, number in (("train", 12), ("val", 6), ("test", 7)):
        for name, colour in CLASSES.items():
            (root / split / name).mkdir(parents=True)
            for index in range(number):
                height, width = generator.integers(24, 60, 2)
                noise = generator.normal(0, 60, (height, width, 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{index}.png")
    return root


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, colour_folder: Path) -> Made:
    """Strategy -> the folder of its completed run; do not change it, `copied` is for that."""
    out, runs = tmp_path_factory.mktemp("deploy"), dict[str, Path]()
    torch.manual_seed(1234)
    save_file(timm.create_model("test_resnet", num_classes=0).state_dict(), out / "weights.safetensors")

    def make(strategy: str) -> Path:
        if strategy not in runs:
            places = (f"data.root={colour_folder}", f"output_dir={out / strategy}", f"cache.dir={out / 'cache'}")
            train([*TINY, *places, f"strategy={strategy}", f"model.weights={out / 'weights.safetensors'}"])
            (runs[strategy],) = (path.parent for path in (out / strategy).rglob("run.json"))
        return runs[strategy]

    return make


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Path:
    """A model folder of a stacked probe, to change."""
    return Path(shutil.copytree(made("stacked_probe") / "model", tmp_path / "model"))
