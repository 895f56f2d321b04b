"""The fits of one job: images and activations once, then every fit on them, tested after every epoch."""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor

from default_settings import product_parts as product
from default_settings.grid import Fit, Job, Views
from default_settings.task_images import Pictures, name_of

_TEST_BATCH = 400  # images; chosen: three batches hold a test split
_DIGITS = 5  # of accuracies and losses that are kept
Result = dict[str, Any]


@dataclass(frozen=True)
class Folders:
    """Where images as arrays, and what is carried (weights, photographs), lie."""

    images: Path
    carried: Path


def results(job: Job, folders: Folders, *, until: Callable[[], bool]) -> Iterator[Result]:
    """Fit one after the other, as long as `until` does not say to stop; a fit that fails tells its error."""
    prepared = _Prepared(job, folders)
    for fit in job.fits:
        if until():
            return
        start = time.perf_counter()
        try:
            scores = prepared.fitted(fit)
        except Exception as error:  # one broken fit must not take the others with it
            scores = {"error": f"{type(error).__name__}: {error}"}
        yield {**asdict(fit), **scores, "seconds": round(time.perf_counter() - start, 2)}


class _Prepared:
    """Images of a job, all their views, and the activations of the frozen stages."""

    def __init__(self, job: Job, folders: Folders) -> None:
        pictures = Pictures.read(folders.images, name_of(job.task))
        self.source = replace(pictures, splits=product.split_of(job.task, pictures, seed=job.seed))
        self.seed = job.seed
        settings = product.settings(job.task, job.fits[0].depth)
        self.device, self.precision = product.device_and_precision(settings)
        weights = folders.carried / f"{job.backbone}.safetensors"
        self.backbone = product.backbone_of(job.backbone, weights).to(self.device)
        self.pretrained = copy.deepcopy(self.backbone.state_dict())
        self.num_views = settings.trainer.max_epochs
        self.cuts = sorted({self._cut(fit) for fit in job.fits})
        self.rows = {name: self._at_cuts(images) for name, images in self._images(settings).items()}

    def _images(self, settings: Any) -> dict[str, Tensor]:
        """uint8 images, (N, 3, S, S): `plain`, `val`, `test`, and `views` with one view after the other."""
        data = {
            random: product.data_of(self.source, settings, self.backbone.input, seed=self.seed, random=random)
            for random in (False, True)
        }
        plain, views = data[False], data[True].dataset("train")
        return {
            "plain": _stacked(plain.dataset("train")),
            "val": _stacked(plain.dataset("val")),
            "test": _stacked(plain.dataset("test")),
            "views": torch.cat([_stacked(views, view) for view in range(self.num_views)]),
        }

    def _cut(self, fit: Fit) -> int:
        return 0 if fit.depth == "all" else self.backbone.num_stages - fit.depth

    def _at_cuts(self, images: Tensor) -> dict[int, Tensor]:
        if self.cuts == [0]:
            return {0: images.to(self.device)}
        return dict(zip(self.cuts, product.frozen_pass(self.backbone, images, self.cuts, self.precision), strict=True))

    def fitted(self, fit: Fit) -> Result:
        """Train from the pretrained weights; scores of every epoch."""
        L.seed_everything(fit.seed, workers=True, verbose=False)
        settings, cut = product.settings(fit.task, fit.depth), self._cut(fit)
        self.backbone.load_state_dict(self.pretrained)
        data = product.data_of(self.source, settings, self.backbone.input, seed=fit.seed, random=fit.views != "none")
        rows = {name: at_cut[cut] for name, at_cut in self.rows.items()}
        train = self._viewed(rows, fit.views)
        product.use_rows(data, {"train": train, "val": rows["val"], "test": rows["test"]}, cut=cut)
        steps = product.steps_of(data, settings)
        model = product.classifier(
            self.backbone, settings, num_classes=data.num_classes, steps=steps, precision=self.precision, entry=cut
        )
        labels = torch.from_numpy(self.source.labels[data.splits["test"]]).to(self.device)
        scores = EpochScores(rows["test"], labels, cut=cut)
        product.train(model, data, steps, self.precision, seed=fit.seed, watching=scores)
        return {**scores.kept, "device": self.device.type, "precision": self.precision.trainer}

    def _viewed(self, rows: dict[str, Tensor], views: Views) -> Tensor:
        if views == "none":
            return rows["plain"]
        count = self.num_views if views == "fresh" else min(int(views), self.num_views)
        return rows["views"][: count * len(rows["plain"])]


def _stacked(dataset: Any, view: int = 0) -> Tensor:
    return torch.stack([dataset[(view, index)][0] for index in range(len(dataset))])


class EpochScores(L.Callback):
    """Accuracy and loss after every epoch: of validation as the product has them, of the test as evidence.

    Nothing is chosen by the test scores while training.

    Args:
        rows: Of the test images at `cut`, where the model takes them up, (N, *row).
        labels: (N,).
    """

    def __init__(self, rows: Tensor, labels: Tensor, *, cut: int) -> None:
        self.rows, self.labels, self.cut = rows, labels, cut
        self.kept: dict[str, list[float]] = {
            f"{split}_{what}": [] for split in ("val", "test") for what in ("accuracy", "loss")
        }

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert not pl_module.training
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            batches = torch.split(self.rows, _TEST_BATCH)
            logits = torch.cat([pl_module(product.at_cut(rows, self.cut)).float() for rows in batches])  # (N, K)
        accuracy = (logits.argmax(1) == self.labels).double().mean()
        measured = {
            "val_accuracy": trainer.callback_metrics["val/accuracy"],
            "val_loss": trainer.callback_metrics["val/loss"],
            "test_accuracy": accuracy,
            "test_loss": F.cross_entropy(logits, self.labels),
        }
        for name, value in measured.items():
            self.kept[name].append(round(float(value), _DIGITS))
