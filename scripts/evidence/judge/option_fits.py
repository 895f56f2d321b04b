"""One fit of one option, on what is prepared: the epoch, or the penalty, that validates best."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import OmegaConf
from torch import Tensor

from judge.prepared import IMAGE_SIZE, Prepared
from thawline.advisor.on_rows import batches_of_rows, classifier_on_rows
from thawline.advisor.options import Option
from thawline.callbacks.freeze import FreezeCallback
from thawline.callbacks.seed_each_step import SeedEachStep
from thawline.data.sources.source import Split
from thawline.features.extract import Tap
from thawline.features.probe import fit_logistic, standardize
from thawline.models.backbone import build_backbone

_CONF = Path(__file__).resolve().parents[3] / "conf"
Linear = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Fit:
    """What validated best.

    Attributes:
        val: Its accuracy on the validation images.
        seconds: Of the fit with its validations.
        test: Measures its accuracy on the test images.
    """

    val: float
    seconds: float
    test: Callable[[], float]


def fit(option: Option, prepared: Prepared, *, seed: int, rate: float | None) -> Fit:
    """Train on the seed's split and validate."""
    return _fit_probe(option, prepared, seed) if option.solved else _fine_tune(option, prepared, seed, rate)


def _fit_probe(option: Option, prepared: Prepared, seed: int) -> Fit:
    start = time.perf_counter()
    last = max(tap.cut for tap in prepared.stored)
    taps = [Tap(cut, 2) for cut in range(1, last + 1)] if option.strategy == "multi_layer_probe" else [Tap(last, 1)]
    features = torch.cat([prepared.stored[tap] for tap in taps], 1)
    split, labels = prepared.splits[seed], prepared.labels
    rows, targets = standardize(features[split["train"]]), labels[split["train"]]
    best: tuple[float, Linear] | None = None
    solution: Linear | None = None
    for penalty in OmegaConf.load(_CONF / "optim" / "lbfgs.yaml").penalties:
        solution = fit_logistic(rows, targets, num_classes=prepared.num_classes, penalty=penalty, start=solution)
        score = _accuracy(features, labels, split, "val", solution)
        if best is None or score > best[0]:
            best = score, solution
    seconds = time.perf_counter() - start
    assert best is not None
    score, chosen = best
    return Fit(score, seconds, lambda: _accuracy(features, labels, split, "test", chosen))


def _accuracy(features: Tensor, labels: Tensor, split: dict[Split, Any], name: Split, linear: Linear) -> float:
    logits = features[split[name]] @ linear[0].T + linear[1]
    return float((logits.argmax(1) == labels[split[name]]).double().mean())


def _fine_tune(option: Option, prepared: Prepared, seed: int, rate: float | None) -> Fit:
    assert rate is not None
    L.seed_everything(seed, verbose=False)
    backbone = build_backbone(prepared.backbone, weights="embedded", image_size=IMAGE_SIZE)
    split, cut = prepared.splits[seed], option.num_frozen(backbone.num_stages)
    rows = prepared.stored[Tap(cut)] if cut else prepared.images
    loaders = {
        name: batches_of_rows(
            rows[split[name]], prepared.labels[split[name]], cut=cut, training=name == "train", seed=seed
        )
        for name in split
    }
    model = classifier_on_rows(
        option, backbone, num_rows=len(split["train"]), num_classes=prepared.num_classes, rate=rate,
        dtype=torch.bfloat16,
    )  # fmt: skip
    keep = _KeepBest()
    trainer = L.Trainer(
        accelerator="cpu", precision="bf16-mixed", max_epochs=model.rates.steps.epochs, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[FreezeCallback.bound_to(model.bound), SeedEachStep(seed), keep],
    )  # fmt: skip
    start = time.perf_counter()
    trainer.fit(model, loaders["train"], loaders["val"])
    seconds = time.perf_counter() - start

    def test() -> float:
        model.load_state_dict(keep.weights)
        (tested,) = trainer.test(model, loaders["test"], verbose=False)
        return float(tested["test/accuracy"])

    return Fit(keep.score, seconds, test)


class _KeepBest(L.Callback):
    def __init__(self) -> None:
        self.score = -1.0
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        score = float(trainer.callback_metrics["val/accuracy"])
        if score > self.score:
            self.score, self.weights = score, copy.deepcopy(pl_module.state_dict())
