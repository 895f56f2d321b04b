"""A pilot: fine-tune the last two stages on the sample's stored activations, and test them on other images.

Probes do not show the gain of thawing. The last two stages are cheap to train on stored activations. Their gain over
the probes says much about the gain of deeper stages.
"""

import copy
from dataclasses import dataclass
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor

from thawline.advisor.on_rows import batches_of_rows, classifier_on_rows
from thawline.advisor.options import BATCH_SIZE, USUAL_RATE, Option, epochs_of
from thawline.data.sources.source import IntArray
from thawline.features.ridge import make_folds
from thawline.machine.compute import Compute
from thawline.machine.precision import Precision, autocast
from thawline.models.backbone import Backbone
from thawline.training.classifier import TransferClassifier

PILOT = Option("partial_fine_tune", 2)
PILOT_FOLDS = 2  # chosen: the fewest, because each fit has a least number of steps
LEAST_IMAGES = 10  # chosen: the accuracy on fewer images says nothing
MAX_IMAGES = 500  # chosen: the accuracy is then known to two points, and the pilot takes a fraction of a minute


@dataclass(frozen=True)
class Pilot:
    """Whether images were classified right, bool: at most `MAX_IMAGES` training images, and the (V,) held-out ones."""

    in_folds: Tensor
    held_out: Tensor


def pilot_seconds(num_images: int, *, step_s: float) -> float:
    """Time that the pilot will take, from the time of a training step of a full batch."""
    fits = [*[num_images - num_images // PILOT_FOLDS] * PILOT_FOLDS, num_images]
    return sum(_num_steps(num_rows) for num_rows in fits) * step_s


def run_pilot(
    backbone: Backbone, rows: Tensor, labels: IntArray, groups: IntArray, *, compute: Compute, seed: int = 0
) -> Pilot:
    """Classify each of the first N images by a model fitted on other folds, the V others by one fitted on all N.

    If N is larger than `MAX_IMAGES`, so many of the N are used, evenly spread. `backbone` is not changed.

    Args:
        rows: Activations at the cut of `PILOT`, (N + V, *row).
        labels: Class indices of the images, (N + V,), int64.
        groups: Groups of the first N; images of one group lie in one fold.
    """
    part = np.linspace(0, len(groups) - 1, min(len(groups), MAX_IMAGES)).astype(np.int64)
    used = np.concatenate([part, np.arange(len(groups), len(labels))])
    rows, labels, groups = rows[used], labels[used], groups[part]
    targets = torch.unique(torch.from_numpy(labels), return_inverse=True)[1]
    num_train = len(groups)
    folds = make_folds(labels[:num_train], groups, seed=seed, num_folds=PILOT_FOLDS)
    in_folds = torch.empty(num_train, dtype=torch.bool)

    def right(fit: Tensor, test: Tensor) -> Tensor:
        """Whether the rows `test` are classified right after training on the rows `fit`, (T,)."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = classifier_on_rows(
                PILOT, copy.deepcopy(backbone), num_rows=len(fit), num_classes=int(targets.max()) + 1, rate=USUAL_RATE
            )
            _train(model, rows[fit], targets[fit], compute=compute, seed=seed)
            return _right(model.to(compute.device), rows[test], targets[test], precision=compute.precision)

    for fold in np.unique(folds):
        fit, test = (torch.from_numpy(mask.nonzero()[0]) for mask in (folds != fold, folds == fold))
        in_folds[test] = right(fit, test)
    return Pilot(in_folds, right(torch.arange(num_train), torch.arange(num_train, len(labels))))


def _num_steps(num_rows: int) -> int:
    epochs = epochs_of(PILOT, num_rows)
    assert epochs is not None
    return epochs * max(1, num_rows // BATCH_SIZE)


def _train(model: TransferClassifier, rows: Tensor, labels: Tensor, *, compute: Compute, seed: int) -> None:
    trainer = L.Trainer(
        accelerator="cpu" if compute.on_cpu else "gpu", devices=1, precision=cast(Any, compute.precision.trainer),
        max_epochs=model.rates.steps.epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, batches_of_rows(rows, labels, cut=model.backbone.frozen_prefix, training=True, seed=seed))


def _right(model: TransferClassifier, rows: Tensor, labels: Tensor, *, precision: Precision) -> Tensor:
    model.eval()
    with torch.no_grad(), autocast(precision.training, model.device):
        batches = batches_of_rows(rows, labels, cut=model.backbone.frozen_prefix, training=False)
        on_device = ((move_data_to_device(inputs, model.device), targets) for inputs, targets in batches)
        return torch.cat([model(inputs).argmax(1).cpu() == targets for inputs, targets in on_device])
