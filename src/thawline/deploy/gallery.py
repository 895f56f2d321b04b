"""Images of an evaluation that a person should look at: the worst mistakes and the least certain answers."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thawline.data.decode import UnreadableImage
from thawline.deploy.evaluated import Evaluated
from thawline.deploy.heatmap import as_picture, heatmap, overlay
from thawline.printable import printable
from thawline.progress_bar import progress
from thawline.report.pictures import data_uri


@dataclass(frozen=True)
class Shown:
    """An image with its answer.

    Attributes:
        truth, label: Its class, and the likeliest by the model.
        probability, truth_probability: Of these two.
    """

    path: str
    truth: str
    label: str
    probability: float
    truth_probability: float
    entropy: float


@dataclass(frozen=True)
class Pictures:
    """What the model saw of an image and where it looked, as data URIs; None where not made."""

    image: str
    heat: str | None


def worst_mistakes(evaluated: Evaluated, number: int) -> list[int]:
    """Positions of wrong answers, that with the least probability of the right class first."""
    wrong = np.flatnonzero(evaluated.guesses != evaluated.labels)
    return [int(n) for n in wrong[np.argsort(-evaluated.losses[wrong], kind="stable")][:number]]


def least_certain(evaluated: Evaluated, number: int) -> list[int]:
    """Positions of the answers with the highest entropy, right or wrong."""
    return [int(n) for n in np.argsort(-evaluated.entropies, kind="stable")[:number]]


def shown(evaluated: Evaluated, position: int) -> Shown:
    names, p = evaluated.model.class_names, np.exp(evaluated.log_probabilities[position])
    truth, guess = int(evaluated.labels[position]), int(evaluated.guesses[position])
    entropy = max(float(evaluated.entropies[position]), 0.0)
    path = printable(evaluated.paths[position])
    return Shown(path, names[truth], names[guess], float(p[guess]), float(p[truth]), entropy)


def pictures(evaluated: Evaluated, positions: Sequence[int], *, heat_seconds: float) -> dict[int, Pictures]:
    """Pictures of these images; the heat is that of the model's answer, right or wrong.

    Args:
        heat_seconds: After this time the images that are left get no heatmaps; 0 makes none.
    """
    made: dict[int, Pictures] = {}
    end = time.monotonic() + heat_seconds
    order = list(dict.fromkeys(positions))
    with progress(len(order), "heatmaps", above=0) as advance:
        for position in order:
            with contextlib.suppress(UnreadableImage):  # it went away since it was answered
                made[position] = _pictures(evaluated, position, heat=time.monotonic() < end)
            advance(1)
    return made


def _pictures(evaluated: Evaluated, position: int, *, heat: bool) -> Pictures:
    image = evaluated.model.prepare(evaluated.paths[position])
    hot = overlay(image, heatmap(evaluated.model, image, int(evaluated.guesses[position]))) if heat else None
    return Pictures(data_uri(as_picture(image)), data_uri(hot) if hot else None)
