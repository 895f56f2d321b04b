"""Predict from files: they are read and decoded while the model computes."""

import signal
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from thawline.data.decode import Pixels, decode
from thawline.data.transforms import Transform
from thawline.deploy.loaded import Model
from thawline.deploy.prediction_rows import Read, Row, rows
from thawline.deploy.read_image import prepared_or_why
from thawline.features.halving import Halving
from thawline.features.in_flight import ahead, in_flight
from thawline.machine.decisions import pins_memory
from thawline.machine.thread_trial import candidates, fastest
from thawline.settings.data_settings import LoaderSettings
from thawline.training.workers import choose_num_workers

CPU_BATCH, GPU_BATCH = 32, 64  # chosen: larger ones are no faster on the machines tried
_WORTH_WORKERS = 1_000  # images; chosen: fewer are read before processes have started
_WORTH_A_TRIAL = 512  # images; chosen: fewer are computed before measuring the number of threads would repay
_TRIAL_IMAGES = 4  # of one measured step


@dataclass(frozen=True)
class Wanted:
    """What to predict, and how.

    Attributes:
        top: Number of classes that a row names, if there are so many.
        batch: Images computed together; None chooses.
        workers: Processes that read; None chooses, 0 reads in a thread.
        unknown_from: Unknown score from which on the label is `unknown`; None gives every image a class.
        set_from: Probability from which on a class is in the prediction set; None gives no sets.
    """

    paths: Sequence[str]
    top: int = 5
    batch: int | None = None
    workers: int | None = None
    unknown_from: float | None = None
    set_from: float | None = None

    def batch_on(self, device: torch.device) -> int:
        return self.batch or (CPU_BATCH if device.type == "cpu" else GPU_BATCH)


def predicted(model: Model, wanted: Wanted, *, start: int = 0) -> Iterator[list[Row]]:
    """Rows of the files from number `start` on, batch by batch, in their order."""
    waiting: deque[Read] = deque()

    def computed() -> Iterator[Tensor]:
        for read in _read(model, wanted, start):
            waiting.append(read)
            if read.images is not None:
                yield read.images

    run = Halving(model.net.scored, what="Predicting")
    for answers in in_flight(computed(), run, model.device):
        while waiting[0].images is None:
            yield _rows(model, wanted, waiting.popleft())
        yield _rows(model, wanted, waiting.popleft(), *answers)
    yield from (_rows(model, wanted, read) for read in waiting)


def _rows(
    model: Model, wanted: Wanted, read: Read, answers: Tensor | None = None, unknown: Tensor | None = None
) -> list[Row]:
    names = model.class_names
    top = min(wanted.top, len(names))
    limits = {"unknown_from": wanted.unknown_from, "set_from": wanted.set_from}
    return rows(read, answers, names, top=top, unknown=unknown, **limits)


def _read(model: Model, wanted: Wanted, start: int) -> Iterator[Read]:
    """The files in batches. Without processes a thread reads the next batch while the model computes."""
    seen, batch, kind = model.description.preprocessing, wanted.batch_on(model.device), model.device.type
    workers = 0 if len(wanted.paths) - start < _WORTH_WORKERS else wanted.workers
    settings = LoaderSettings(batch_size=batch, num_workers=workers)
    workers = choose_num_workers(settings, seen.spec, kind=kind, sharing=1)
    loader = DataLoader(
        _Files(wanted.paths, seen.pixels, model.transform),
        batch_size=batch,
        sampler=range(start, len(wanted.paths)),
        num_workers=workers,
        collate_fn=collated,
        pin_memory=pins_memory(kind),
        worker_init_fn=_leave_signals,
    )
    yield from loader if workers else ahead(loader)


class _Files(Dataset[tuple[str, Tensor | str]]):
    """Number -> path and prepared image, uint8 (3, S, S), or why there is none."""

    def __init__(self, paths: Sequence[str], pixels: Pixels, transform: Transform) -> None:
        self.paths, self.pixels, self.transform = paths, pixels, transform

    def __getitem__(self, index: int) -> tuple[str, Tensor | str]:
        path = self.paths[index]
        return path, prepared_or_why(lambda: self.transform(decode(path, pixels=self.pixels)), path)


def collated(items: list[tuple[str, Tensor | str]]) -> Read:
    images = [image for _, image in items if isinstance(image, Tensor)]
    errors = [image if isinstance(image, str) else None for _, image in items]
    return Read([path for path, _ in items], errors, torch.stack(images) if images else None)


def _leave_signals(worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; the main one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def with_thread_choice(model: Model, batches: Iterator[list[Row]], num_images: int) -> Iterator[list[Row]]:
    """The same batches. On a CPU the number of torch's threads is measured after the first, which has one thread.

    Measuring takes a second, for which the first rows do not wait.
    """
    numbers = candidates("auto")
    if model.device.type == "cpu" and len(numbers) > 1 and num_images >= _WORTH_A_TRIAL:
        torch.set_num_threads(1)  # nothing slows it much
        yield from islice(batches, 1)
        size = model.description.preprocessing.size
        images = torch.zeros((_TRIAL_IMAGES, 3, size, size), dtype=torch.uint8)
        fastest(lambda: model.net.answers(images), numbers)
    yield from batches
