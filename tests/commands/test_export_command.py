"""`export.py` in this process: what it refuses, and one export from end to end."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from thawline.commands.export import main

Export = Callable[..., int]


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch) -> Export:
    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["export.py", *map(str, arguments)])
        return main()

    return run


def refused(export: Export, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert export(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_bad_input_is_one_line(
    export: Export, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = ("--out", tmp_path / "out")
    assert "no such folder" in refused(export, capsys, tmp_path / "nowhere", "--format", "onnx", *out)
    assert "holds no model/model.json" in refused(export, capsys, tmp_path, "--format", "model", *out)
    (tmp_path / "file").touch()
    line = refused(export, capsys, tmp_path, "--format", "onnx", "--out", tmp_path)
    assert "holds files; give a new folder, nothing is written over" in line
    line = refused(export, capsys, tmp_path, "--format", "onnx", "--out", tmp_path / "file")
    assert "is a file; give a new folder" in line
    for option in (("--int8",), ("--opset", 18), ("--resize-inside",)):
        line = refused(export, capsys, tmp_path, "--format", "model", *option, *out)
        assert f"{option[0]} has no effect with --format model" in line
    assert "--int8: is for --format onnx" in refused(export, capsys, tmp_path, "--format", "openvino", "--int8", *out)


def test_a_model_folder_has_no_training_images_and_opsets_end_somewhere(
    export: Export, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "model.json").write_text("{}")
    out = ("--out", tmp_path / "out")
    line = refused(export, capsys, tmp_path, "--format", "onnx", "--int8", *out)
    assert "--int8 is calibrated on the run's training images, but " in line
    assert "is no run's folder: it holds no config.yaml" in line
    assert "--opset 99: allowed are 18 to 23" in refused(
        export, capsys, tmp_path, "--format", "onnx", "--opset", 99, *out
    )


def test_a_missing_package_is_told_with_the_command_that_installs_it(
    export: Export, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.json").write_text("{}")
    real = importlib.import_module

    def without(name: str) -> object:
        if name == "onnxruntime":
            raise ImportError("No module named 'onnxruntime'")
        return real(name)

    monkeypatch.setattr("thawline.deploy.export_onnx.importlib.import_module", without)
    line = refused(export, capsys, tmp_path, "--format", "onnx", "--out", tmp_path / "out")
    assert line.endswith("""(No module named 'onnxruntime'): run pip install "thawline[onnx]\"""")
