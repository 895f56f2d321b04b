"""A model's answers to labelled images, measured; and those of a second model to the same images."""

import csv
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thawline.amounts import plural
from thawline.data.split_table import SPLITS_FILE
from thawline.deploy.calibration_error import worse_line
from thawline.deploy.evaluation import Array, Ints, Scores, Share, scores, share
from thawline.deploy.evaluation_pass import Answered, answers_to
from thawline.deploy.evaluation_text import percent, with_interval
from thawline.deploy.label_match import LabelMatch, match_labels
from thawline.deploy.labelled_images import LabelledImages
from thawline.deploy.loaded import BATCH, Model
from thawline.deploy.paired_models import Paired, paired
from thawline.deploy.portable import MODEL_FOLDER
from thawline.deploy.prediction_rows import UNKNOWN
from thawline.errors import UserError, named
from thawline.invocation import typed
from thawline.printable import printable

_FLATTERING = ("train", "val")  # splits that a run learns from: weights, choices, calibration


@dataclass(frozen=True)
class Evaluated:
    """A model on labelled images.

    Attributes:
        folder: Where the model was loaded from.
        paths: Images with an answer and a class of the model, N of them.
        labels: Their classes, (N,).
        log_probabilities: (N, K).
        unreadable: File -> why it could not be read.
        notes: What the reader must know about the numbers, a sentence each.
    """

    folder: Path
    model: Model
    source: LabelledImages
    match: LabelMatch
    paths: list[Path]
    labels: Ints
    log_probabilities: Array
    unreadable: dict[Path, str]
    scores: Scores
    notes: list[str]

    @cached_property
    def guesses(self) -> Ints:
        """The likeliest class of each image, (N,)."""
        guesses: Ints = self.log_probabilities.argmax(1)
        return guesses

    @cached_property
    def losses(self) -> Array:
        """-log of the probability of the right class, (N,)."""
        return -self.log_probabilities[np.arange(len(self.labels)), self.labels]

    @cached_property
    def entropies(self) -> Array:
        """Of the probabilities, in nats, (N,)."""
        entropies: Array = -(np.exp(self.log_probabilities) * self.log_probabilities.clip(min=-100)).sum(1)
        return entropies


def evaluate(model: Model, source: LabelledImages, *, folder: Path, batch: int = BATCH) -> Evaluated:
    """Answer the images of the classes that the model knows, and measure.

    Raises:
        UserError: The model knows no label, or no image can be read.
    """
    where = printable(source.where)
    match = match_labels([image.label for image in source.images], model.class_names, where=where)
    known = [image for image in source.images if image.label in match.index]
    answered = answers_to(model, [image.path for image in known], batch=batch)
    if not len(answered.places):
        path, reason = next(iter(answered.unreadable.items()))
        reason = reason.removeprefix(f"unreadable image {printable(path)}: ")
        raise UserError(
            f"{where}: of {plural(len(known), 'image')} none can be read, first: {printable(path)}: {reason}"
        )
    paths = [known[place].path for place in answered.places]
    labels = np.array([match.index[known[place].label] for place in answered.places], dtype=np.int64)
    measured = _scores(answered.log_probabilities, labels, model)
    notes = [
        *_notes(source, match, answered, measured, folder, paths),
        *_called_unknown(model, answered, folder, source),
    ]
    return Evaluated(
        folder, model, source, match, paths, labels, answered.log_probabilities, answered.unreadable, measured,
        notes,
    )  # fmt: skip


def _scores(log_probabilities: Array, labels: Ints, model: Model) -> Scores:
    temperature = model.description.calibration.temperature
    return scores(log_probabilities, labels, model.class_names, temperature=temperature)


def _notes(
    source: LabelledImages, match: LabelMatch, answered: Answered, measured: Scores, folder: Path, paths: Sequence[Path]
) -> list[str]:
    notes = [*source.notes, *match.notes]
    if match.unknown:
        number = sum(match.unknown.values())
        listed = named([f"{printable(label)} ({count})" for label, count in match.unknown.items()], most=5)
        as_wrong = measured.accuracy.count / (measured.images + number)
        notes.append(
            f"left out, of classes that the model does not know: {plural(number, 'image')}, {listed}; counted "
            f"as wrong they would make the accuracy {as_wrong:.4f}; where a label only has another name, rename it"
        )
    if match.absent:
        listed = named(match.absent, most=5)
        notes.append(f"classes of the model without an image: {listed}; means are over the others")
    if answered.unreadable:
        first, reason = next(iter(answered.unreadable.items()))
        reason = reason.removeprefix(f"unreadable image {printable(first)}: ")
        notes.append(f"left out, cannot be read: {len(answered.unreadable)}, the first is {printable(first)}: {reason}")
    present = [one.name for one in measured.classes if one.images]
    if len(present) == 1:
        notes.append(f"all images are of one class, {present[0]}: the accuracy is its recall, and AUROC has no meaning")
    if worse := worse_line(measured.calibration):
        notes.append(f"{worse}; see the reliability diagram in the page before you rely on a probability")
    if seen := learned_from(folder, paths):
        notes.append(
            f"{seen} of these images were training or validation images of the run ({SPLITS_FILE}): scores flatter"
        )
    return notes


def _called_unknown(model: Model, answered: Answered, folder: Path, source: LabelledImages) -> list[str]:
    """How many images of known classes the model's threshold calls unknown."""
    about, far = model.description.unknown, answered.unknown_scores
    if about is None or about.threshold is None or about.share is None or far is None:
        return []
    of = share(int((far >= about.threshold).sum()), len(far))
    return [called_unknown(of, made_for=about.share, folder=folder, images=source.where)] if of.of else []


def called_unknown(of: Share, *, made_for: float, folder: Path, images: Path) -> str:
    """A sentence; `of` are images of known classes, `made_for` the share that the threshold promises at most."""
    where = shlex.quote(printable(images)) if images.is_dir() else "IMAGES"  # `predict` takes no table
    command = f"{typed('predict')} {shlex.quote(printable(folder))} {where} --unknown --copy-to sorted"
    look = f"; to look at them: {command}, then see sorted/{UNKNOWN}" if of.count else ""
    return (
        f"{percent(of.value or 0.0)} of these images of known classes are called unknown by `predict --unknown` "
        f"({with_interval(of, brackets=False)}); the threshold is made for {percent(made_for)} at most{look}"
    )


def run_of(folder: Path) -> Path:
    """The run's folder, where the folder of its model was given; else the same folder."""
    inside = folder.resolve()
    return inside.parent if inside.name == MODEL_FOLDER and (inside.parent / SPLITS_FILE).is_file() else folder


def learned_from(folder: Path, paths: Sequence[Path]) -> int:
    """How many of the images the run learned from, by the paths in its table of splits; 0 where there is none."""
    table = run_of(folder) / SPLITS_FILE
    if not table.is_file():
        return 0
    with table.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
        used = {row["path"] for row in csv.DictReader(lines) if row.get("split") in _FLATTERING}
    names = ({os.path.abspath(path), os.path.realpath(path)} for path in paths)
    return sum(bool(of & used) or any(printable(name) in used for name in of) for of in names)  # older runs escaped


@dataclass(frozen=True)
class Against:
    """A second model on the same images.

    Attributes:
        this, other: Scores on the images whose class both know.
        only_this, only_other: Images that one of them alone answers right.
        notes: What differs between the two.
    """

    folder: Path
    model: Model
    this: Scores
    other: Scores
    paired: Paired
    only_this: list[Path]
    only_other: list[Path]
    notes: list[str]


def against(first: Evaluated, model: Model, *, folder: Path, batch: int = BATCH) -> Against:
    """Answer the same images by `model`, and compare.

    Raises:
        UserError: It knows none of the classes, or can read no image.
    """
    names = [first.model.class_names[label] for label in first.labels]
    match = match_labels(names, model.class_names, where=f"--against {printable(folder)}")
    known = np.array([n for n, name in enumerate(names) if name in match.index], dtype=np.int64)
    answered = answers_to(model, [first.paths[n] for n in known], batch=batch)
    if not len(answered.places):
        raise UserError(f"--against {printable(folder)}: none of the images can be read as this model reads them")
    both = known[answered.places]  # positions among the images of `first`
    labels = np.array([match.index[names[n]] for n in both], dtype=np.int64)
    right = first.guesses[both] == first.labels[both]
    other_right = answered.log_probabilities.argmax(1) == labels
    return Against(
        folder,
        model,
        _scores(first.log_probabilities[both], first.labels[both], first.model),
        _scores(answered.log_probabilities, labels, model),
        paired(right, other_right),
        _where(first.paths, both, right & ~other_right),
        _where(first.paths, both, ~right & other_right),
        _differences(first, model, match, left_out=len(names) - len(both), seen=learned_from(folder, first.paths)),
    )


def _differences(first: Evaluated, model: Model, match: LabelMatch, *, left_out: int, seen: int) -> list[str]:
    notes = list(match.notes)
    if left_out:
        notes.append(
            f"{plural(left_out, 'image is', 'images are')} left out of the comparison: the other model does not "
            "know or read them"
        )
    if set(first.model.class_names) != set(model.class_names):
        numbers = len(first.model.class_names), len(model.class_names)
        notes.append(f"the models choose among different classes ({numbers[0]} and {numbers[1]})")
    if seen:
        notes.append(f"{seen} of these images were training or validation images of the other run: its scores flatter")
    return notes


def _where(paths: Sequence[Path], places: Ints, wanted: NDArray[np.bool_]) -> list[Path]:
    return [paths[n] for n in places[wanted]]
