"""The script beside an ONNX file prepares images bit for bit as Thawline does."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from thawline.data.decode import decode
from thawline.data.transforms import eval_transform
from thawline.deploy.description import Preprocessing
from thawline.deploy.export_script import script

Prepare = Callable[[str], Any]


def of_script(seen: Preprocessing, *, resize_inside: bool = False) -> Prepare:
    """The script's own functions, without ONNX Runtime."""
    text = script(seen, resize_inside=resize_inside)
    functions = text[text.index("def read") : text.index("for path in")]
    names: dict[str, Any] = {
        "Image": Image,
        "ImageOps": ImageOps,
        "np": np,
        "seen": json.loads(json.dumps(asdict(seen))),
    }
    exec(functions, names)
    return lambda path: np.asarray(names["prepare"](names["read"](path)))


def seen(fit: str = "crop", value_range: list[float] | None = None, decoded_side: int | None = None) -> Preprocessing:
    mean, std = [0.485, 0.456, 0.406], [0.2, 0.2, 0.2]
    return Preprocessing(32, fit, "bicubic", 0.875, mean, std, value_range, decoded_side=decoded_side)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Square, wide, high, elongated; turned by EXIF, transparent, with a palette."""
    generator = np.random.default_rng(0)
    paths = []
    for name, (height, width) in {"square": (50, 50), "wide": (40, 90), "high": (77, 40), "long": (20, 130)}.items():
        image = Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
        paths.append(tmp_path / f"{name}.png")
        image.save(paths[-1])
    exif = Image.Exif()
    exif[274] = 6
    turned, clear, palette = (tmp_path / name for name in ("turned.jpg", "clear.png", "palette.png"))
    image.resize((60, 40)).save(turned, exif=exif)
    Image.fromarray(generator.integers(0, 256, (40, 60, 4), dtype=np.uint8)).save(clear)
    image.convert("P").save(palette, transparency=3)
    return [str(path) for path in (*paths, turned, clear, palette)]


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_every_file_becomes_the_same_pixels(files: list[str], fit: str) -> None:
    prepare, transform = of_script(seen(fit)), eval_transform(seen(fit).spec)
    for path in files:
        assert np.array_equal(prepare(path), transform(decode(path)).permute(1, 2, 0).numpy()), path


def test_where_the_graph_resizes_the_pixels_are_those_of_the_file(files: list[str]) -> None:
    prepare = of_script(seen(), resize_inside=True)
    for path in files:
        assert np.array_equal(prepare(path), np.asarray(decode(path))), path


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_jpeg_is_decoded_at_the_models_scale(tmp_path: Path, fit: str, orientation: int) -> None:
    """Sides that are no multiples of the scale; a graph that resizes takes the whole file."""
    about, path, exif = seen(fit, decoded_side=72), str(tmp_path / "large.jpg"), Image.Exif()
    exif[274] = orientation
    levels = np.random.default_rng(0).integers(0, 256, (302, 401, 3), dtype=np.uint8)
    Image.fromarray(levels).save(path, exif=exif)
    image = decode(path, pixels=about.pixels)
    assert sorted(image.size) == [76, 101]  # a quarter, rounded up
    assert np.array_equal(of_script(about)(path), eval_transform(about.spec)(image).permute(1, 2, 0).numpy())
    assert np.array_equal(of_script(about, resize_inside=True)(path), np.asarray(decode(path)))


STUB = """import json
import numpy as np
class InferenceSession:
    def __init__(self, path): pass
    def get_modelmeta(self): return self
    custom_metadata_map = {"class_names": '["cat", "dog"]', "preprocessing": json.dumps(SEEN)}
    def run(self, names, feed): return [np.array([[0.25, 0.75]])]
"""


def test_what_cannot_be_read_is_a_line_and_the_others_are_answered(files: list[str], tmp_path: Path) -> None:
    """With a stand-in for ONNX Runtime."""
    (tmp_path / "onnxruntime.py").write_text(STUB.replace("SEEN", repr(asdict(seen()))))
    (tmp_path / "text.png").write_text("no image")
    program = tmp_path / "predict_onnx.py"
    program.write_text(script(seen(), resize_inside=False))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, program, *arguments], capture_output=True, text=True, check=False)

    done = run("gone.png", str(tmp_path / "text.png"), files[0])
    assert (done.returncode, done.stdout) == (1, f"{files[0]}\tdog\t0.7500\n")
    missing, no_image = done.stderr.splitlines()
    assert missing == "gone.png: No such file or directory"
    assert "cannot identify image file" in no_image
    asked = run("--help")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "Classify images with model.onnx" in asked.stdout
    assert run().returncode == 2


def test_wide_samples_get_the_models_range(tmp_path: Path) -> None:
    about = seen(value_range=[100.0, 4000.0])
    path = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 5000, (40, 50), dtype=np.uint16)).save(path)
    wanted = eval_transform(about.spec)(decode(path, pixels=about.pixels)).permute(1, 2, 0).numpy()
    assert np.array_equal(of_script(about)(str(path)), wanted)
