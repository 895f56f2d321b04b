"""`train` in a process that has no command line: as often as one likes, and nothing of Hydra stays behind."""

import logging
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from thawline import train
from thawline.errors import UserError
from thawline.report.run_record import load_record


@pytest.fixture
def overrides(image_folder: Path, tmp_path: Path, tiny_run: tuple[str, ...]) -> list[str]:
    place = [f"output_dir={tmp_path / 'out=1'}", f"cache.dir={tmp_path / 'cache'}", "model.image_size=32"]
    return [
        "data=folder",
        f"data.root={image_folder}",
        *tiny_run,
        "model.name=test_resnet",
        "model.weights=none",
        *place,
    ]


def test_it_runs_twice_and_leaves_nothing_behind(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher", "-f", "kernel.json"])
    monkeypatch.chdir(tmp_path)
    handlers, config = logging.getLogger().handlers[:], HydraConfig.instance().cfg
    records = [train([*overrides, f"seed={seed}"]) for seed in (1, 2)]
    assert [(record.status, record.seed) for record in records] == [("completed", 1), ("completed", 2)]
    folders = sorted((tmp_path / "out=1" / "small_different").iterdir())
    assert [load_record(folder / "run.json").run_id for folder in folders] == [record.run_id for record in records]
    assert "images" in (folders[0] / "train.log").read_text(encoding="utf-8")
    assert not GlobalHydra.instance().is_initialized()
    assert HydraConfig.instance().cfg is config
    assert logging.getLogger().handlers == handlers


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["strategy.unfreeze_depth=99"], r"strategy\.unfreeze_depth=99: test_resnet has 7 stages"),
        (["strategy.unfreeze=2"], r"strategy\.unfreeze: no such key; did you mean unfreeze_depth"),
        (["scenario=smal_similar"], "scenario=smal_similar: no such scenario; did you mean small_similar"),
        (["-m"], "-m: write key=value"),
    ],
)
def test_bad_input_is_a_user_error(overrides: list[str], more: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        train([*overrides, *more])
    assert not GlobalHydra.instance().is_initialized()


def test_one_text_is_no_list() -> None:
    with pytest.raises(UserError, match="give a list of overrides"):
        train("scenario=small_similar")


def test_a_run_is_resumed_by_its_folder(overrides: list[str], tmp_path: Path) -> None:
    train(overrides)
    (folder,) = (tmp_path / "out=1" / "small_different").iterdir()
    with pytest.raises(UserError, match="the run is completed; start a new one"):
        train([f"resume={folder}"])
