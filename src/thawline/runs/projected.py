"""TensorBoard's projector: what the head reads of test images, with thumbnails, by class and by error."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from thawline.callbacks.head_inputs import HeadInputs
from thawline.runs.parts import Parts
from thawline.settings.projector_setting import THUMB_SIDE

PROJECTOR_FOLDER = "projector"
PROJECTOR_CONFIG = "projector_config.pbtxt"  # TensorBoard looks for this name
_TAG = "test_images"
_DIMENSIONS = 64  # principal components that are kept; chosen: the first tell the most, and the file stays small
_DIGITS = 4  # after the point


def log_projector(writer: SummaryWriter, parts: Parts, inputs: HeadInputs, answers: tuple[Tensor, Tensor]) -> None:
    """Write the images that `inputs` kept beside the event file; what lies there already is replaced.

    Args:
        answers: Log-probabilities (N, K) of all test images, and their classes (N,).
    """
    rows, places = inputs.kept
    if not len(rows):
        return
    names, test = parts.data.source.class_names, parts.data.dataset("test", again=True)
    shutil.rmtree(Path(writer.log_dir) / PROJECTOR_FOLDER, ignore_errors=True)
    writer.add_embedding(
        principal(rows),
        metadata=described(answers[0][places], answers[1][places], names),
        metadata_header=["true", "predicted", "right", "probability"],
        label_img=torch.stack([_thumbnail(test[0, int(place)][0]) for place in places]),
        global_step=PROJECTOR_FOLDER,  # the name of the folder
        tag=_TAG,
    )


def principal(rows: Tensor) -> Tensor:
    """Rows (M, D) -> their first principal components (M, R), float64; columns are scaled to deviation 1 before."""
    scaled = rows.double() - rows.double().mean(0)
    scaled = scaled / scaled.square().mean(0).sqrt().clamp(min=1e-12)
    values, vectors = torch.linalg.eigh(scaled @ scaled.T)  # of the Gram matrix: there are fewer images than columns
    kept = vectors * values.clamp(min=0).sqrt()  # (M, M), ascending
    components: Tensor = kept.flip(1)[:, : min(_DIMENSIONS, *rows.shape)].round(decimals=_DIGITS)
    return components


def described(log_probabilities: Tensor, labels: Tensor, names: Sequence[str]) -> list[list[str]]:
    """Rows of the metadata: class, answer, whether it is right, and its probability."""
    plain = [" ".join(name.split()) or "_" for name in names]  # tabs and line ends divide the file
    p, guesses = log_probabilities.exp().max(1)
    rows = zip(labels.tolist(), guesses.tolist(), p.tolist(), strict=True)
    return [[plain[truth], plain[guess], "yes" if truth == guess else "no", f"{of:.3f}"] for truth, guess, of in rows]


def _thumbnail(view: Tensor) -> Tensor:
    """What the model was shown, (3, S, S), uint8, as (3, T, T), float32, 0 to 1."""
    return F.adaptive_avg_pool2d(view.float() / 255, (THUMB_SIDE, THUMB_SIDE))
