"""Write a model for another runtime, and check it on the spot: answers, accuracy, size, latency."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from thawline.deploy.export_check import (
    BATCHES,
    RESIZED_DIFFERENCE,
    SECONDS,
    SHOWN_ABOVE,
    Agreement,
    accuracy,
    agreement,
    answered,
    latencies,
    machine_load,
    together,
)
from thawline.deploy.export_folder import new_folder
from thawline.deploy.export_graph import ExportGraph
from thawline.deploy.export_images import Images
from thawline.deploy.export_int8 import INT8_FILE, quantise
from thawline.deploy.export_metadata import metadata
from thawline.deploy.export_onnx import DEFAULT_OPSET, ONNX_FILE, Runner, onnx_runner, write_onnx
from thawline.deploy.export_openvino import OPENVINO_FILE, openvino_runner, write_openvino
from thawline.deploy.export_resize import PillowResize
from thawline.deploy.export_resize_check import compared_levels
from thawline.deploy.export_script import SCRIPT_FILE, script
from thawline.deploy.loaded import Model, load, model_folder
from thawline.deploy.portable import WEIGHTS_FILE
from thawline.machine.utf8_path import utf8_path
from thawline.progress_bar import counted

Say = Callable[[str, str], None]  # (what a line is about, what it says)
_MB = 1e6  # bytes
_MANY = 32  # images of the second measurement of latency
_INT8 = " int8"  # beside "", the fp32 model


@dataclass(frozen=True)
class Wanted:
    """What to export.

    Attributes:
        format: `onnx` or `openvino`.
        resize_inside: Whether the graph takes images of any size.
        trust: Whether code outside Thawline may make the head.
    """

    format: str
    opset: int = DEFAULT_OPSET
    resize_inside: bool = False
    trust: bool = False


@dataclass(frozen=True)
class _Job:
    """What is exported, in fp32, and the images to check it on, prepared: (N, S, S, 3)."""

    wanted: Wanted
    model: Model
    graph: ExportGraph
    images: Images
    prepared: NDArray[np.uint8]
    threads: int

    def given(self, images: Images, index: int) -> NDArray[np.uint8]:
        """An image as the exported model takes it, (H, W, 3)."""
        image = images.load(index)
        return np.array(image) if self.wanted.resize_inside else _prepared(self.model, image)

    def answers(self, run: Runner) -> NDArray[np.float32]:
        """Of the exported model to the images, (N, K)."""
        if not self.wanted.resize_inside:
            return answered(run, self.prepared)
        return np.concatenate([run(self.given(self.images, index)[None]) for index in _each(self.images, "answered")])

    @torch.inference_mode()
    def in_pytorch(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the graph answers before it is exported, (N, K)."""
        return np.asarray(self.graph(torch.from_numpy(images)), np.float32)

    def truth(self) -> NDArray[np.float32]:
        """Of Thawline in fp32, (N, K)."""
        return answered(
            lambda x: self.model.probabilities(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy(), self.prepared
        )


def export(source: Path, out: Path, wanted: Wanted, *, images: Images, training: Images | None, say: Say) -> bool:
    """Write folder `out`; returns whether the exported model answers as Thawline does.

    Args:
        source: A run's folder or a model folder.
        images: To check with.
        training: To calibrate an int8 model with, for `onnx`; None makes none.
    Raises:
        UserError: A package is missing, the model cannot be exported, or `out` holds files.
    """
    model = load(source, trust=wanted.trust, accelerator="cpu", precision="32-true")
    resize = PillowResize(model.description.preprocessing.spec) if wanted.resize_inside else None
    prepared = np.stack([_prepared(model, images.load(index)) for index in _each(images, "read")])
    job = _Job(wanted, model, ExportGraph(model.net, resize=resize), images, prepared, torch.get_num_threads())
    weights = (model_folder(source) / WEIGHTS_FILE).stat().st_size
    built = model.description.architecture
    say("model", f"{source}: {built.backbone}, {len(model.class_names)} classes, {weights / _MB:.1f} MB for PyTorch")
    with new_folder(out) as part:
        files = _write(job, utf8_path(part), training, say)
        runs = {name: _runner(file, job.threads) for name, file in files.items()}
        for file in files.values():
            say("wrote", f"{out / file.name}, {_size(file) / _MB:.1f} MB")
        say("checking", f"the answers to {images.what}")
        good = _check(job, runs[""], say)
        if training is not None:
            _compare_int8(job, runs, training, say)
        say("timing", f"{len(runs) + 1} forms of the model in turns, up to {2 * SECONDS:.0f} s")
        _time(job, runs, load(source, trust=wanted.trust, accelerator="cpu"), say)
    return good


def _each(images: Images, done: str) -> Iterator[int]:
    """Index after index."""
    return counted(range(images.number), images.number, f"images {done}", above=SHOWN_ABOVE)


def _write(job: _Job, folder: Path, training: Images | None, say: Say) -> dict[str, Path]:
    """The files: "" is the fp32 model."""
    wanted, seen = job.wanted, job.model.description.preprocessing
    about = metadata(job.model.description, resize_inside=wanted.resize_inside)
    files = {"": folder / ONNX_FILE}
    say("writing", f"{wanted.format}: the model is traced, which takes some seconds, with a large one minutes")
    write_onnx(job.graph, files[""], about=about, opset=wanted.opset)
    if training is not None:
        files[_INT8] = folder / INT8_FILE
        say("writing", f"int8: ranges are taken from {training.what}")
        quantise(files[""], files[_INT8], (job.given(training, index) for index in _each(training, "seen")))
    if wanted.format == "onnx":
        text = script(seen, resize_inside=wanted.resize_inside)
        (folder / SCRIPT_FILE).write_text(text, encoding="utf-8")
        return files
    write_openvino(files[""], folder / OPENVINO_FILE, about=about)
    files[""].unlink()
    return {"": folder / OPENVINO_FILE}


def _check(job: _Job, run: Runner, say: Say) -> bool:
    """Compare the fp32 model with Thawline; returns whether they agree."""
    of_batches = together([_of_a_batch(job, run, size) for size in BATCHES])
    say("check", f"batches of {', '.join(map(str, BATCHES))}: {of_batches}")
    got, truth = job.answers(run), job.truth()
    of_images = agreement(got, truth)
    inside = ", resized in the graph and by Pillow" if job.wanted.resize_inside else ""
    right = ""
    if job.images.labels is not None:
        ours, theirs = (accuracy(answers, job.images.labels) for answers in (truth, got))
        right = f"; accuracy {theirs:.4f}, Thawline's in fp32 {ours:.4f}"
    say("check", f"{job.images.what}{inside}: {of_images}{right}")
    if job.graph.resize is None:
        return of_batches.good and of_images.good
    return of_batches.good_resized and _check_resize(job, job.graph.resize, got, say)


def _check_resize(job: _Job, resize: PillowResize, got: NDArray[np.float32], say: Say) -> bool:
    """The file has to answer as its graph in PyTorch does, whose resize has to make Pillow's levels.

    Args:
        got: Answers of the file to the images, (N, K).
    """
    whole = (job.given(job.images, index)[None] for index in _each(job.images, "answered"))
    of_graph = np.concatenate([job.in_pytorch(image) for image in whole])
    of_file = agreement(got, of_graph)
    say("check", f"each of its size, in the file and in PyTorch: {of_file} ({RESIZED_DIFFERENCE} allowed)")
    pairs = zip((job.given(job.images, index) for index in range(job.images.number)), job.prepared, strict=True)
    levels = compared_levels(resize, pairs)
    say("check", f"the resize in the graph and Pillow's: {levels}")
    return of_file.good_resized and levels.good


def _of_a_batch(job: _Job, run: Runner, size: int) -> Agreement:
    """Of `size` images of one shape; the graph in PyTorch gives the truth, which the other check holds to Thawline."""
    if job.wanted.resize_inside:
        first = job.given(job.images, 0)
        batch = np.stack([np.roll(first, step, axis=1) for step in range(size)])
    else:
        batch = np.resize(job.prepared, (size, *job.prepared.shape[1:]))
    return agreement(run(batch), job.in_pytorch(batch))


def _compare_int8(job: _Job, runs: dict[str, Runner], training: Images, say: Say) -> None:
    whole, small = (job.answers(runs[name]) for name in ("", _INT8))
    same = int((whole.argmax(1) == small.argmax(1)).sum())
    right = ""
    if (labels := job.images.labels) is not None:
        right = f"; accuracy {accuracy(small, labels):.4f}, fp32 {accuracy(whole, labels):.4f}"
    say("int8", f"calibrated on {training.what}; {same} of {len(whole)} labels as in fp32{right}")


def _time(job: _Job, runs: dict[str, Runner], served: Model, say: Say) -> None:
    """Latency of prepared images beside that of `thawline.load(...)` as it is served."""
    names = [f"PyTorch in {served.net.precision.trainer}", *(f"{job.wanted.format}{name}" for name in runs)]
    for number in (1, _MANY):
        batch = np.resize(job.prepared, (number, *job.prepared.shape[1:]))
        tensor = torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous()
        calls: list[Callable[[], object]] = [lambda t=tensor: served.net.answers(t)]  # type: ignore[misc]
        calls += [lambda r=run, b=batch: r(b) for run in runs.values()]  # type: ignore[misc]
        of_each = ", ".join(f"{name} {ms:.2f} ms" for name, ms in zip(names, latencies(calls), strict=True))
        say("latency", f"{number} image{'s' * (number > 1)}: {of_each}")
    threads = f"{job.threads} thread{'s' * (job.threads > 1)}"
    say("", f"medians, measured in turns, {threads}, {machine_load()}")


def _runner(file: Path, threads: int) -> Runner:
    return (onnx_runner if file.suffix == ".onnx" else openvino_runner)(file, threads=threads)


def _prepared(model: Model, image: object) -> NDArray[np.uint8]:
    """(S, S, 3)."""
    return model.prepare(image).permute(1, 2, 0).contiguous().numpy()  # type: ignore[arg-type]


def _size(file: Path) -> int:
    """Bytes, with the file of weights beside it where there is one."""
    beside = [file.with_suffix(".bin"), file.with_name(f"{file.name}.data")]
    return sum(path.stat().st_size for path in (file, *beside) if path.exists())
