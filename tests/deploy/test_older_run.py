"""The portable model of a run of before runs wrote one."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import thawline
from thawline.deploy.convert import convert
from thawline.deploy.description import Calibration
from thawline.deploy.description_file import read_description
from thawline.deploy.export_images import made_up
from thawline.deploy.older_run import read_older_run
from thawline.deploy.portable import read_model, sha256_of
from thawline.errors import UserError
from thawline.report.run_record import load_record
from thawline.runs.run_images import RunImages

Made = Callable[[str], Path]
STRATEGIES = ("feature_extraction", "partial_fine_tune", "multi_layer_probe", "stacked_probe", "blend")


@pytest.fixture
def older(made: Made, tmp_path: Path) -> Path:
    """A run without its folder model/."""
    return Path(shutil.copytree(made("feature_extraction"), tmp_path / "run", ignore=shutil.ignore_patterns("model")))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_description_is_that_of_a_live_run_without_its_calibration(made: Made, strategy: str) -> None:
    run = made(strategy)
    live, tensors = read_model(run / "model")
    description, converted = read_older_run(run)
    assert description == replace(live, calibration=Calibration(), unknown=None, shared={}, sha256="")
    assert description.calibration.by == ""
    assert set(converted) == {name for name in tensors if not name.startswith("unknown.")}


def test_an_older_run_becomes_a_folder_that_predicts_as_its_test_did(older: Path, tmp_path: Path) -> None:
    lines: list[tuple[str, str]] = []
    images = RunImages(older).some("test", most=100)
    convert(older, tmp_path / "out", images=images, trust=False, say=lambda *line: lines.append(line))
    accuracy = load_record(older / "run.json").metrics["test/accuracy"]
    assert lines[0] == ("wrote", f"{tmp_path / 'out'}: made of {older}'s checkpoint, not calibrated")
    assert lines[1][1].endswith(f": accuracy {accuracy:.4f}, {accuracy:.4f} in the run's test")
    assert thawline.load(tmp_path / "out").description.calibration.temperature == 1.0
    assert "not calibrated" in (tmp_path / "out" / "README.md").read_text()


def test_a_model_that_is_there_is_copied(made: Made, tmp_path: Path) -> None:
    source = made("blend") / "model"
    convert(made("blend"), tmp_path / "out", images=made_up("it is a test"), trust=False, say=lambda *_: None)
    assert read_description(tmp_path / "out") == read_description(source)
    assert sha256_of(tmp_path / "out" / "model.safetensors") == sha256_of(source / "model.safetensors")


def test_what_is_missing_is_one_line(older: Path, tmp_path: Path) -> None:
    def refused(match: str) -> None:
        with pytest.raises(UserError, match=match):
            convert(older, tmp_path / "out", images=made_up(""), trust=False, say=lambda *_: None)
        assert not (tmp_path / "out").exists()

    record = load_record(older / "run.json")
    for status in ("failed", "running"):
        replace(record, status=status).save(older)
        refused(f"the run is {status}; a model is made of a completed run")
    record.save(older)
    shutil.rmtree(older / "checkpoints")
    refused(r"holds no checkpoints/best\.ckpt, the weights that were tested")
    (older / "run.json").unlink()
    refused(r"holds no model/model\.json; give the folder")
