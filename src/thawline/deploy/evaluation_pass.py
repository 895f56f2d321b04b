"""A model's answers to image files, read beside the computing; files that cannot be read are set aside."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thawline.deploy.loaded import BATCH, Model
from thawline.deploy.read_image import prepared_or_why
from thawline.machine.processes import num_cores
from thawline.progress_bar import progress

_MOST_READERS = 8  # chosen: as when a folder is read for training
_SHOWN_ABOVE = 100  # images; fewer are answered in a moment


@dataclass(frozen=True)
class Answered:
    """Log-probabilities (N, K), float64, of the files in `places` of those given (N,), and why others have none.

    Attributes:
        unknown_scores: (N,), float64; None where the model gives none.
    """

    log_probabilities: NDArray[np.float64]
    places: NDArray[np.int64]
    unreadable: dict[Path, str]
    unknown_scores: NDArray[np.float64] | None = None


def answers_to(model: Model, paths: Sequence[Path], *, batch: int = BATCH) -> Answered:
    """Answer every file that can be read; memory holds two batches of images."""
    rows, far, places, unreadable = [], [], list[int](), dict[Path, str]()
    with (
        ThreadPoolExecutor(min(_MOST_READERS, num_cores())) as pool,
        progress(len(paths), "images", above=_SHOWN_ABOVE) as advance,
    ):
        for start, read in _batches(model, paths, batch, pool):
            good = [(start + n, image) for n, image in enumerate(read) if isinstance(image, Tensor)]
            unreadable |= {paths[start + n]: text for n, text in enumerate(read) if isinstance(text, str)}
            if good:
                logs, scores = model.net.answers(torch.stack([image for _, image in good]))
                rows.append(logs.double())
                far += [] if scores is None else [scores.double()]
                places += [place for place, _ in good]
            advance(len(read))
    num_classes = len(model.class_names)
    answers = torch.cat(rows).numpy() if rows else np.zeros((0, num_classes))
    unknown = torch.cat(far).numpy() if far else None
    return Answered(answers, np.array(places, dtype=np.int64), unreadable, unknown)


def _batches(
    model: Model, paths: Sequence[Path], batch: int, pool: ThreadPoolExecutor
) -> Iterator[tuple[int, list[Tensor | str]]]:
    """(number of the first, what was read), the next batch being read while the caller works on this one."""
    waiting = None
    for start in range(0, len(paths), batch):
        reading = start, [pool.submit(_read, model, path) for path in paths[start : start + batch]]
        if waiting is not None:
            yield waiting[0], [job.result() for job in waiting[1]]
        waiting = reading
    if waiting is not None:
        yield waiting[0], [job.result() for job in waiting[1]]


def _read(model: Model, path: Path) -> Tensor | str:
    return prepared_or_why(lambda: model.prepare(path), path)
