"""Images of an evaluation that a person should look at: the worst mistakes and the least certain answers."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from thawline.data.decode import UnreadableImage
from thawline.deploy.evaluated import Evaluated
from thawline.deploy.heatmap import as_picture, heatmap, overlay
from thawline.printable import printable

GALLERY = 12  # images of each kind; chosen: three rows of four
_SHOWN_SIDE = 224  # pixels at most; chosen: about what a screen shows, and 24 images with heatmaps stay below 1 MB
_QUALITY = 82  # of JPEG


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


def worst_mistakes(evaluated: Evaluated, number: int = GALLERY) -> list[int]:
    """Positions of wrong answers, that with the least probability of the right class first."""
    wrong = np.flatnonzero(evaluated.guesses != evaluated.labels)
    return [int(n) for n in wrong[np.argsort(-evaluated.losses[wrong], kind="stable")][:number]]


def least_certain(evaluated: Evaluated, number: int = GALLERY) -> list[int]:
    """Positions of the answers with the highest entropy, right or wrong."""
    return [int(n) for n in np.argsort(-evaluated.entropies, kind="stable")[:number]]


def shown(evaluated: Evaluated, position: int) -> Shown:
    names, p = evaluated.model.class_names, np.exp(evaluated.log_probabilities[position])
    truth, guess = int(evaluated.labels[position]), int(evaluated.guesses[position])
    entropy = max(float(evaluated.entropies[position]), 0.0)
    path = printable(evaluated.paths[position])
    return Shown(path, names[truth], names[guess], float(p[guess]), float(p[truth]), entropy)


def pictures(
    evaluated: Evaluated, positions: Sequence[int], *, heat: bool, advance: Callable[[], None] = lambda: None
) -> dict[int, Pictures]:
    """Pictures of these images; the heat is that of the model's answer, right or wrong."""
    made = {}
    for position in dict.fromkeys(positions):
        try:
            image = evaluated.model.prepare(Path(evaluated.paths[position]))
        except UnreadableImage:  # it went away since it was answered
            continue
        hot = None
        if heat:
            hot = overlay(image, heatmap(evaluated.model, image, int(evaluated.guesses[position])))
        made[position] = Pictures(data_uri(as_picture(image)), data_uri(hot) if hot else None)
        advance()
    return made


def data_uri(picture: Image.Image) -> str:
    """A JPEG that a page holds."""
    small = picture.copy()
    small.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
