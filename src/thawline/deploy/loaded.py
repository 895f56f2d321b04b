"""A model that predicts: loaded from a run's folder or a model folder."""

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from thawline.data.decode import decode, to_rgb
from thawline.data.transforms import Transform, eval_transform
from thawline.deploy.description import Description
from thawline.deploy.description_file import DESCRIPTION_FILE
from thawline.deploy.image_list import listed
from thawline.deploy.inference import InferenceModel, precision_of
from thawline.deploy.likeliest import likeliest
from thawline.deploy.portable import MODEL_FOLDER, read_model
from thawline.deploy.prediction_sets import named_sets
from thawline.deploy.read_image import prepared_or_why
from thawline.errors import UserError, strange_values_refused
from thawline.machine.compute import choose_compute
from thawline.machine.number_formats import Precision

BATCH = 32  # images that are computed together; chosen: larger ones are no faster on the CPUs tried
_TOP = 5
_DEEPEST_RUN = 3  # folders below outputs/: multirun/SWEEP/RUN
Given = str | Path | Image.Image | np.ndarray[Any, Any] | Tensor
_ONE = (str, Path, Image.Image, np.ndarray, Tensor)


@dataclass(frozen=True)
class Prediction:
    """The answer to one image.

    Attributes:
        label: The likeliest class; None where the image could not be read.
        probability: Of `label`, calibrated.
        unknown_score: Share of images of known classes that lie nearer to one of them: 1 lies farther than all.
        unknown: Whether the score reaches the model's threshold, `Model.unknown_threshold`; None where it has none.
        entropy: Of the probabilities, in nats: 0 is certain, log K knows nothing.
        top: (class, probability) of the likeliest classes, the first first.
        error: Why there is no answer.
        set: The classes of which one is right for 90 % of images like the run's, the likeliest first; None where the
            model has no threshold, `Model.set_threshold`.
    """

    path: str
    label: str | None = None
    probability: float | None = None
    entropy: float | None = None
    unknown_score: float | None = None
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    unknown: bool | None = None
    set: tuple[str, ...] | None = None


class Model:
    """A classifier with its class names and preprocessing, from `thawline.load`; docs/python.md shows its use.

    Attributes:
        description: What model.json says.
        net: uint8 images (B, 3, S, S) -> logits (B, K).
        transform: PIL image, RGB -> uint8 (3, S, S).
    """

    def __init__(self, description: Description, net: InferenceModel, device: torch.device) -> None:
        self.description = description
        self.device = device
        self.net = net.fuse(device)
        self.transform: Transform = eval_transform(description.preprocessing.spec)

    def __repr__(self) -> str:
        """Short: what it is, not what it holds."""
        made, of = self.description.architecture, self.description.provenance
        return (
            f"Model(backbone={made.backbone!r}, image_size={made.image_size}, num_classes={len(self.class_names)}, "
            f"strategy={of.strategy!r})"
        )

    @property
    def class_names(self) -> Sequence[str]:
        return self.description.class_names

    @property
    def unknown_threshold(self) -> float | None:
        """Unknown score from which on an image shows none of the classes, as far as the model can tell."""
        return None if self.description.unknown is None else self.description.unknown.threshold

    @property
    def set_threshold(self) -> float | None:
        """Probability from which on a class is in an image's prediction set; 0, all are, after too few images."""
        return self.description.calibration.set_threshold

    def prepare(self, image: Given) -> Tensor:
        """A path, PIL image, uint8 array (H, W, 3) or (H, W), or prepared uint8 tensor (3, S, S) -> uint8 (3, S, S).

        Raises:
            UnreadableImage: The file does not decode.
        """
        if isinstance(image, Tensor):
            return image
        if isinstance(image, np.ndarray):
            image = Image.fromarray(image)
        if isinstance(image, (str, Path)):
            image = decode(image, pixels=self.description.preprocessing.pixels)
        return self.transform(to_rgb(image))

    def probabilities(self, images: Tensor) -> Tensor:
        """uint8 images (B, 3, S, S), prepared -> calibrated probabilities (B, K), float32."""
        return self.net.log_probabilities(images).exp()

    def predict(self, images: Given | Iterable[Given], *, top: int = _TOP, batch: int = BATCH) -> list[Prediction]:
        """Answers in the order of the images; an image that cannot be read has an `error` and no label.

        Args:
            images: One or several; of a folder's path, the images in it at every depth, in the order of their names.
        Raises:
            UserError: A folder holds no image.
        """
        several = [images] if isinstance(images, _ONE) else images
        given = [file for one in several for file in _files(one)]
        predictions: list[Prediction] = []
        for start in range(0, len(given), batch):
            predictions += self.answered([_read(self, image) for image in given[start : start + batch]], top=top)
        return predictions

    def answered(self, read: Sequence[tuple[str, Tensor | str]], *, top: int = _TOP) -> list[Prediction]:
        """Predictions of (path, prepared image or why there is none)."""
        good = [image for _, image in read if isinstance(image, Tensor)]
        answers = iter(self._answers(torch.stack(good), top=top) if good else ())
        return [
            Prediction(path, error=image) if isinstance(image, str) else replace(next(answers), path=path)
            for path, image in read
        ]

    def _answers(self, images: Tensor, *, top: int) -> Iterator[Prediction]:
        rows, scores = self.net.answers(images)
        limit, least, names = self.unknown_threshold, self.set_threshold, self.class_names
        of_rows = [None] * len(rows) if scores is None else scores.tolist()
        sets = [None] * len(rows) if least is None else named_sets(rows.exp(), names, threshold=least)
        for (values, at, entropy), score, of_it in zip(likeliest(rows, top=top), of_rows, sets, strict=True):
            classes = tuple((names[i], value) for i, value in zip(at, values, strict=True))
            far = None if score is None or limit is None else score >= limit
            yield Prediction("", *classes[0], entropy, score, classes, unknown=far, set=of_it)


def _files(given: Given) -> Iterable[Given]:
    """A folder's images at every depth, in the order of their names; anything else is itself."""
    if isinstance(given, (str, Path)) and os.path.isdir(given):
        return listed([str(given)], stdin=io.BytesIO()).paths
    return (given,)


def _read(model: Model, image: Given) -> tuple[str, Tensor | str]:
    if isinstance(image, (str, Path)):
        return str(image), prepared_or_why(lambda: model.prepare(image), image)
    return "", model.prepare(image)


def load(folder: str | Path, *, trust: bool = False, accelerator: str = "auto", precision: str | None = None) -> Model:
    """The model of a completed run, or of a model folder.

    Args:
        trust: Whether code outside Thawline that the model names may run, such as a head of your own.
        accelerator: `auto`, a GPU if there is one; `cpu`; `gpu`, CUDA's or Apple's; or `mps`, Apple's.
        precision: `auto`, `32-true` or `bf16-mixed`; None computes as the run's test did, if this device can.
    Raises:
        UserError: There is no model, a file of it is missing or damaged, or it needs code that is not trusted.
    """
    place = model_folder(Path(folder))
    description, tensors = read_model(place)
    wanted = choose_compute(accelerator=accelerator, precision=precision or "auto", key="accelerator")
    with strange_values_refused(place / DESCRIPTION_FILE):
        numbers = _as_in_the_test(description, wanted.precision) if precision is None else wanted.precision
        net = InferenceModel(description, tensors, precision=numbers, trust=trust)
    return Model(description, net, wanted.device)


def model_folder(folder: Path) -> Path:
    """Where the model of a run's folder lies; a model folder is its own.

    Raises:
        UserError: There is none; the line says what to do.
    """
    for place in (folder, folder / MODEL_FOLDER):
        if (place / DESCRIPTION_FILE).is_file():
            return place
    if not folder.is_dir():
        give = "give the folder of a completed run, or a model folder"
        raise UserError(f"{folder}: no such folder; {give}{_newest_below(folder.parent)}")
    raise UserError(f"{folder}: holds no {MODEL_FOLDER}/{DESCRIPTION_FILE}{_why_not(folder)}")


def _newest_below(folder: Path) -> str:
    """`; the newest one below FOLDER is RUN`, where runs write their models; empty where there is none."""
    from thawline.report.run_record import RUNGS

    depths = ("*/" * depth for depth in range(1, _DEEPEST_RUN + 1))
    models = [file for depth in depths for file in folder.glob(f"{depth}{MODEL_FOLDER}/{DESCRIPTION_FILE}")]
    runs = [(file.stat().st_mtime, file.parent.parent) for file in models if file.parents[2].name != RUNGS]
    return f"; the newest one below {folder} is {max(runs)[1]}" if runs else ""


def _why_not(folder: Path) -> str:
    """What the record of a run without a model says."""
    from thawline.report.run_record import RECORD_FILE, load_record

    if not (folder / RECORD_FILE).is_file():
        return f"; give the folder of a completed run, or a model folder{_newest_below(folder)}"
    status = load_record(folder / RECORD_FILE).status
    if status == "completed":
        return ": the run is of an earlier version; make its model with export.py RUN --format model"
    return f": the run is {status}; a model is written when a run completes"


def _as_in_the_test(description: Description, here: Precision) -> Precision:
    """The number formats of the run, where the device computes in them fast; else those that it is fast in."""
    there = precision_of(description.architecture)
    return there if {there.trainer, there.stages} <= {"32-true", here.trainer} else here
