"""A graph that resizes otherwise than Pillow, or a file that resizes otherwise than its graph, is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from thawline.data.input_spec import InputSpec
from thawline.data.transforms import eval_transform
from thawline.deploy import export_job
from thawline.deploy.export_images import Images, made_up
from thawline.deploy.export_job import Wanted, export
from thawline.deploy.export_onnx import Runner
from thawline.deploy.export_resize import PillowResize
from thawline.deploy.export_resize_check import Levels, compared_levels
from thawline.runs.run_images import RunImages

Made = Callable[[str], Path]
SPEC = InputSpec(48, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), "bicubic", 0.875, "crop")


class Beside(PillowResize):
    """A quarter of a pixel beside where Pillow takes it."""

    def _kept(self, resized: Tensor) -> Tensor:
        return super()._kept(resized) + 0.25


def levels_of(resize: PillowResize) -> Levels:
    images = made_up("")
    whole = [images.load(index) for index in range(4)]
    return compared_levels(resize, [(np.array(one), as_array(eval_transform(SPEC)(one))) for one in whole])


def as_array(image: Tensor) -> NDArray[np.uint8]:
    return np.asarray(image.permute(1, 2, 0).numpy())


def test_the_levels_decide() -> None:
    good = levels_of(PillowResize(SPEC))
    assert good.good
    assert good.largest <= 2
    assert str(good).startswith(f"levels differ by {good.mean:.3f} of 255 in the mean (0.2 allowed), ")
    assert not levels_of(Beside(SPEC)).good
    assert not levels_of(PillowResize(replace(SPEC, interpolation="bilinear"))).good
    assert not levels_of(PillowResize(replace(SPEC, crop_pct=0.9))).good


def test_the_levels_by_hand() -> None:
    image = np.full((48, 48, 3), 7, np.uint8)
    resize = PillowResize(replace(SPEC, crop_pct=1.0))
    wanted = image.copy()
    wanted[0, 0, 0] = 10
    levels = compared_levels(resize, [(image, image), (image, wanted)])
    assert (levels.mean, levels.largest) == (pytest.approx(3 / (2 * 48 * 48 * 3)), 3)


@pytest.fixture
def checked(made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[bool, str]]:
    """Exports with the graph in PyTorch as the file, changed by `distort`; returns what is said of the check."""
    run = made("stacked_probe")
    test = RunImages(run).some("test", most=6)

    def check(images: Images = test, distort: Callable[[Runner], Runner] = lambda run: run) -> tuple[bool, str]:
        lines: list[str] = []
        graphs: list[torch.nn.Module] = []

        def answers(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            with torch.inference_mode():
                return np.asarray(graphs[0](torch.from_numpy(pixels)), np.float32)

        def write(job: object, folder: Path, *_: object) -> dict[str, Path]:
            graphs.append(job.graph)  # type: ignore[attr-defined]
            (folder / "model.onnx").write_bytes(b"")
            return {"": folder / "model.onnx"}

        monkeypatch.setattr(export_job, "_write", write)
        monkeypatch.setattr(export_job, "_runner", lambda *_: distort(answers))
        monkeypatch.setattr(export_job, "_time", lambda *_: None)
        good = export(
            run, tmp_path / "out", Wanted("onnx", resize_inside=True), images=images, training=None,
            say=lambda about, text: lines.append(text) if about == "check" else None,
        )  # fmt: skip
        return good, "\n".join(lines)

    return check


def test_a_graph_that_resizes_as_pillow_is_good(checked: Callable[..., tuple[bool, str]]) -> None:
    good, said = checked()
    assert good, said
    assert "each of its size, in the file and in PyTorch: labels equal" in said
    assert "the resize in the graph and Pillow's: levels differ by 0.0" in said


def test_a_broken_resize_is_refused(checked: Callable[..., tuple[bool, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_job, "PillowResize", Beside)
    good, said = checked()
    assert not good, said
    assert "each of its size, in the file and in PyTorch: labels equal, largest difference of a probability 0.0" in said


def test_a_file_that_takes_one_size_only_is_refused(checked: Callable[..., tuple[bool, str]]) -> None:
    """As one whose exporter made the height a constant."""

    def fixed(run: Runner) -> Runner:
        return lambda pixels: run(pixels[:, :8])

    good, said = checked(distort=fixed)
    assert not good, said
