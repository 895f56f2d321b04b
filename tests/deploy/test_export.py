"""Exported models answer as Thawline does, say what they are, and need no Thawline."""

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import thawline
from thawline.deploy.export_graph import ExportGraph
from thawline.deploy.export_images import Images, made_up
from thawline.deploy.export_job import Wanted, export
from thawline.deploy.export_onnx import checked_opset, onnx_runner, require, write_onnx
from thawline.errors import UserError
from thawline.runs.run_images import RunImages

Made = Callable[[str], Path]
STRATEGIES = ("feature_extraction", "partial_fine_tune", "multi_layer_probe", "stacked_probe", "blend")


@dataclass(frozen=True)
class Exported:
    run: Path
    folder: Path
    good: bool
    lines: list[tuple[str, str]]

    def said(self, about: str) -> str:
        return "\n".join(text for name, text in self.lines if name == about)


def exported(run: Path, folder: Path, wanted: Wanted, *, int8: bool = False) -> Exported:
    lines: list[tuple[str, str]] = []
    images = RunImages(run)
    training = images.some("train", most=8) if int8 else None
    good = export(
        run, folder, wanted, images=images.some("test", most=100), training=training,
        say=lambda about, text: lines.append((about, text)),
    )  # fmt: skip
    return Exported(run, folder, good, lines)


@pytest.fixture(scope="module")
def onnx(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported(made("stacked_probe"), tmp_path_factory.mktemp("onnx"), Wanted("onnx"))


@pytest.fixture(scope="module")
def with_int8(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported(made("stacked_probe"), tmp_path_factory.mktemp("int8"), Wanted("onnx"), int8=True)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_graph_gives_the_probabilities_of_the_loaded_model(made: Made, strategy: str) -> None:
    model = thawline.load(made(strategy), accelerator="cpu", precision="32-true")
    pixels = torch.randint(0, 256, (5, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    got = ExportGraph(model.net)(pixels)
    torch.testing.assert_close(got, model.probabilities(pixels.permute(0, 3, 1, 2)), atol=1e-5, rtol=0)


def test_an_onnx_file_answers_as_thawline_at_any_batch(onnx: Exported) -> None:
    assert onnx.good
    assert "batches of 1, 2, 7: labels equal" in onnx.said("check")
    assert "21 test images of colours0: labels equal" in onnx.said("check").replace("colours-", "colours")
    model = thawline.load(onnx.run, accelerator="cpu", precision="32-true")
    run = onnx_runner(onnx.folder / "model.onnx", threads=1)
    for number in (1, 3, 40):
        pixels = np.random.default_rng(number).integers(0, 256, (number, 32, 32, 3), dtype=np.uint8)
        wanted = model.probabilities(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()
        assert np.abs(run(pixels) - wanted).max() < 1e-4
        assert run(pixels).sum(1) == pytest.approx(np.ones(number), abs=1e-5)


def test_every_step_is_said_before_it_begins(onnx: Exported) -> None:
    steps = [about for about, _ in onnx.lines]
    assert steps == ["model", "writing", "wrote", "checking", "check", "check", "timing", "latency", "latency", ""]


def test_speed_and_size_stand_beside_pytorchs(onnx: Exported) -> None:
    assert onnx.said("model").endswith(" MB for PyTorch")
    assert [line.split(":")[0] for line in onnx.said("latency").splitlines()] == ["1 image", "32 images"]
    assert onnx.said("latency").count(" ms") == 4  # PyTorch and ONNX Runtime, twice
    assert re.search(r"\d+ threads?, load [\d.]+ on \d+ cores?$", onnx.said(""))


@pytest.mark.slow
def test_an_int8_model_is_smaller_and_its_accuracy_is_told(with_int8: Exported) -> None:
    whole, small = (with_int8.folder / name for name in ("model.onnx", "model_int8.onnx"))
    assert small.stat().st_size < 0.6 * whole.stat().st_size
    assert "int8: ranges are taken from 8 of 36 training images of " in with_int8.said("writing")
    assert [about for about, _ in with_int8.lines].index("int8") < len(with_int8.lines) - 4  # then the timing
    assert "calibrated on 8 of 36 training images of colours" in with_int8.said("int8")
    assert "; accuracy " in with_int8.said("int8")
    assert with_int8.said("latency").count(" ms") == 6  # PyTorch, fp32 and int8, twice
    about = importlib.import_module("onnxruntime").InferenceSession(str(small)).get_modelmeta().custom_metadata_map
    assert json.loads(about["calibration"])["images"] > 0


def test_the_file_says_what_it_is(onnx: Exported) -> None:
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(str(onnx.folder / "model.onnx"))
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["class_names"]) == ["blue", "green", "red"]
    assert json.loads(about["preprocessing"])["size"] == 32
    assert json.loads(about["provenance"])["strategy"] == "stacked_probe"
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(uint8)", ["batch", 32, 32, 3])


def test_the_script_beside_it_needs_no_thawline_and_gives_the_same_labels(onnx: Exported, colour_folder: Path) -> None:
    paths = [str(path) for path in sorted((colour_folder / "test").glob("*/*.png"))]
    text = (onnx.folder / "predict_onnx.py").read_text()
    imported = {line.split()[1].partition(".")[0] for line in text.splitlines() if line.startswith(("import", "from"))}
    assert imported == {"argparse", "json", "sys", "pathlib", "numpy", "onnxruntime", "PIL"}
    command = [sys.executable, str(onnx.folder / "predict_onnx.py"), *paths]
    rows = [
        line.split("\t")
        for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    ]
    answers = thawline.load(onnx.run, accelerator="cpu", precision="32-true").predict(paths)
    assert [row[:2] for row in rows] == [[answer.path, answer.label] for answer in answers]
    assert [float(row[2]) for row in rows] == pytest.approx([answer.probability for answer in answers], abs=1e-4)


def command_s_export(run: Path, folder: Path, *options: str) -> str:
    """In a process of its own: after OpenVINO, pytest's captured output of this one is closed at the next run."""
    command = [sys.executable, "-m", "thawline", "export", str(run), "--format", "openvino", "--out", str(folder)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"loading  {run}\nimages   looking for those of the run\n")
    return done.stdout


@pytest.mark.slow
def test_openvino_and_a_graph_that_resizes_take_images_of_any_size(made: Made, tmp_path: Path) -> None:
    said = command_s_export(made("feature_extraction"), tmp_path / "out", "--resize-inside")
    assert "resized in the graph and by Pillow: labels equal" in " ".join(said.split())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model.bin", "model.xml"]
    file = str(tmp_path / "out" / "model.xml")
    code = f"""
import json, numpy, openvino
from pathlib import Path
from thawline.deploy.export_openvino import openvino_runner
print(openvino_runner(Path({file!r}), threads=1)(numpy.zeros((2, 75, 41, 3), numpy.uint8)).shape)
print(json.loads(openvino.Core().read_model({file!r}).get_rt_info(["thawline", "class_names"]).astype(str)))
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == ["(2, 3)", "['blue', 'green', 'red']"]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_kind_of_model_is_exported_with_a_graph_that_resizes(made: Made, tmp_path: Path, strategy: str) -> None:
    assert exported(made(strategy), tmp_path / "out", Wanted("onnx", resize_inside=True)).good


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["stacked_probe", "blend"])
def test_models_are_exported_to_openvino(made: Made, tmp_path: Path, strategy: str) -> None:
    assert "labels equal" in command_s_export(made(strategy), tmp_path / "out")


def test_without_the_runs_images_made_up_ones_are_compared(made: Made, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no run's folder: it holds no config\.yaml"):
        RunImages(made("feature_extraction") / "model")
    images = made_up("they are gone")
    assert images.what == "7 made-up images (they are gone)"
    assert len({images.load(index).size for index in range(images.number)}) == 7


class Odd(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features[:, :3] if bool(features.sum() > 0) else -features[:, :3]


def test_a_head_that_cannot_be_exported_is_one_line(made: Made, tmp_path: Path) -> None:
    model = thawline.load(made("feature_extraction"), accelerator="cpu", precision="32-true")
    model.net.head = Odd()
    with pytest.raises(UserError, match=r"cannot be exported: test_resnet with the head .*Odd \(.*--format model"):
        write_onnx(ExportGraph(model.net), tmp_path / "model.onnx", about={})


def test_a_missing_package_and_an_opset_that_is_not_there() -> None:
    with pytest.raises(
        UserError, match=r'--format openvino takes packages \(.*\): run pip install "thawline\[openvino\]"'
    ):
        require("no_such_package", extra="openvino")
    for opset in (7, 99):
        with pytest.raises(UserError, match=rf"--opset {opset}: allowed are 18 to 23 with onnx "):
            checked_opset(opset)


def test_the_folder_is_new_and_nothing_is_left_after_an_error(made: Made, tmp_path: Path) -> None:
    def fail(index: int) -> None:
        raise UserError("damaged")

    wanted, run = Wanted("onnx"), made("feature_extraction")
    with pytest.raises(UserError, match="damaged"):
        export(run, tmp_path / "out", wanted, images=Images(fail, 1, None, ""), training=None, say=print)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").touch()
    with pytest.raises(UserError, match=r"out: holds files; give a new folder"):
        export(run, tmp_path / "out", wanted, images=made_up(""), training=None, say=lambda *_: None)
