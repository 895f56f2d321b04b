"""predict --set: the prediction sets that a run measured on its test images."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from model_json import read_values, write_values
from predict_command import predict

import thawline
from thawline.deploy.inference import InferenceModel
from thawline.errors import UserError
from thawline.report.run_record import load_record

Made = Callable[[str], Path]


@pytest.mark.parametrize("strategy", ["stacked_probe", "feature_extraction"])
def test_sets_of_the_test_split_have_the_coverage_and_size_of_the_run(
    made: Made, colour_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    run, out = made(strategy), tmp_path / "p.jsonl"
    assert predict(monkeypatch, run, colour_folder / "test", "--out", out, "--set") == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    told = load_record(run / "run.json").calibration
    assert all(row["label"] == row["set"][0] for row in rows)
    held = [Path(row["path"]).parent.name in row["set"] for row in rows]
    assert sum(held) / len(rows) == pytest.approx(told.coverage, abs=1e-9)
    assert sum(len(row["set"]) for row in rows) / len(rows) == pytest.approx(told.mean_size, abs=1e-9)
    promised = sum(threshold > 0 for threshold in read_values(run / "model")["calibration"]["class_thresholds"])
    if promised:
        assert told.class_images == 7 * promised  # test images of a class
        assert told.class_low < told.class_coverage <= told.class_high + 1e-12
    else:
        assert (told.class_low, told.class_high, told.class_coverage) == (None, None, 1.0)
    assert bool(promised) == (strategy == "stacked_probe")
    answers = thawline.load(run, accelerator="cpu").predict(colour_folder / "test")
    assert [list(answer.set or ()) for answer in answers] == [row["set"] for row in rows]


def test_rows_of_an_earlier_version_are_not_gone_on_with(
    made: Made, colour_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (made("stacked_probe"), colour_folder / "test", "--out", tmp_path / "p.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(InferenceModel, "scored", lambda *_: (_ for _ in ()).throw(UserError("stopped")))
        assert predict(monkeypatch, *arguments) == 2
    about = tmp_path / "p.jsonl.unfinished.json"
    values = json.loads(about.read_text())
    del values["of"]["form of rows"]
    about.write_text(json.dumps(values))
    assert predict(monkeypatch, *arguments) == 2
    assert "images of an interrupted command with another form of rows" in capsys.readouterr().err
    assert predict(monkeypatch, *arguments, "--overwrite") == 0
    first = json.loads((tmp_path / "p.jsonl").read_text().splitlines()[0])
    assert (first["top"][0]["label"], len(first["top"])) == (first["label"], 3)


def test_sets_are_shown_and_what_cannot_give_them_is_told(
    copied: Path, colour_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    images = colour_folder / "test"
    values = read_values(copied)
    write_values(copied, {**values, "calibration": {**values["calibration"], "set_threshold": 0.0}})
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    assert predict(monkeypatch, copied, images, "--set") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["path", "label", "probability", "then", "set"]
    with monkeypatch.context() as patch:
        patch.setattr(InferenceModel, "scored", lambda *_: (_ for _ in ()).throw(UserError("stopped")))
        assert predict(monkeypatch, copied, images, "--out", tmp_path / "p.csv") == 2
    assert predict(monkeypatch, copied, images, "--out", tmp_path / "p.csv", "--set") == 2
    assert "images of an interrupted command with another --set" in capsys.readouterr().err
    write_values(copied, {**values, "calibration": {**values["calibration"], "set_threshold": None}})
    assert predict(monkeypatch, copied, images, "--set") == 2
    assert "--set: model.json holds no threshold of sets" in capsys.readouterr().err
