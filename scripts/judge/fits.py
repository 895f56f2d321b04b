"""One fit of one option, on what is prepared; the epoch, or the penalty, that validates best is tested."""

import copy
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from judge.prepared import IMAGE_SIZE, Prepared
from thawline.advisor.options import BATCH_SIZE, HEAD_LR, Option, epochs_of
from thawline.callbacks.freeze import FreezeCallback
from thawline.callbacks.seeding import SeedEachStep
from thawline.data.dataset import EpochSampler, Key
from thawline.data.sources.source import Split
from thawline.data.stored import EpochBatches
from thawline.features.extract import Tap
from thawline.features.probe import fit_logistic, standardize
from thawline.models.backbone import build_backbone
from thawline.models.classifier import TransferClassifier
from thawline.models.freezing import bind
from thawline.models.heads import LinearHead
from thawline.settings import OptimSettings, StrategySettings
from thawline.steps import Steps

_EVAL_BATCH = 128
_CONF = Path(__file__).resolve().parents[2] / "conf"
Linear = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Outcome:
    """Accuracies of the weights that validated best, and the time of the fit with its validations."""

    val: float
    test: float
    seconds: float


def fit(option: Option, prepared: Prepared, *, seed: int, rate: float | None) -> Outcome:
    """Train on the seed's split, validate, test."""
    return _fit_probe(option, prepared, seed) if option.solved else _fine_tune(option, prepared, seed, rate)


def _fit_probe(option: Option, prepared: Prepared, seed: int) -> Outcome:
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
    return Outcome(best[0], _accuracy(features, labels, split, "test", best[1]), seconds)


def _accuracy(features: Tensor, labels: Tensor, split: dict[Split, Any], name: Split, linear: Linear) -> float:
    logits = features[split[name]] @ linear[0].T + linear[1]
    return float((logits.argmax(1) == labels[split[name]]).double().mean())


def _fine_tune(option: Option, prepared: Prepared, seed: int, rate: float | None) -> Outcome:
    assert rate is not None
    L.seed_everything(seed, verbose=False)
    backbone = build_backbone(prepared.backbone, weights="embedded", image_size=IMAGE_SIZE)
    depth = backbone.num_stages - option.num_frozen(backbone.num_stages)
    bound = bind(
        StrategySettings(option.strategy, unfreeze_depth=depth),
        backbone,
        LinearHead(backbone.num_features, prepared.num_classes),
    )
    bound.apply(0)
    split, cut = prepared.splits[seed], backbone.num_stages - depth
    rows = prepared.stored[Tap(cut)] if cut else prepared.images
    loaders = {
        name: _loader(rows[split[name]], prepared.labels[split[name]], training=name == "train", seed=seed)
        for name in split
    }
    per_epoch = len(loaders["train"])
    epochs = epochs_of(option, len(split["train"]))
    assert epochs is not None
    steps = Steps(per_epoch, per_epoch, per_epoch * epochs, epochs, 1.0)
    optim = OptimSettings(lr=HEAD_LR, backbone_lr=rate)
    model = TransferClassifier(
        bound, num_classes=prepared.num_classes, optim=optim, steps=steps, prefix_dtype=torch.bfloat16
    )
    model.entry = cut
    keep = _KeepBest()
    trainer = L.Trainer(
        accelerator="cpu", precision="bf16-mixed", max_epochs=epochs, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[FreezeCallback(bound), SeedEachStep(seed), keep],
    )  # fmt: skip
    start = time.perf_counter()
    trainer.fit(model, loaders["train"], loaders["val"])
    seconds = time.perf_counter() - start
    model.load_state_dict(keep.weights)
    (tested,) = trainer.test(model, loaders["test"], verbose=False)
    return Outcome(keep.score, float(tested["test/accuracy"]), seconds)


class _KeepBest(L.Callback):
    def __init__(self) -> None:
        self.score = -1.0
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        score = float(trainer.callback_metrics["val/accuracy"])
        if score > self.score:
            self.score, self.weights = score, copy.deepcopy(pl_module.state_dict())


class _Rows(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, rows: Tensor, labels: Tensor) -> None:
        self.rows, self.labels = rows, labels

    def __getitem__(self, keys: list[Key]) -> tuple[Tensor, Tensor]:
        positions = torch.tensor([position for _, position in keys])
        return self.rows[positions], self.labels[positions]


def _loader(rows: Tensor, labels: Tensor, *, training: bool, seed: int) -> DataLoader[Any]:
    sampler = EpochSampler(len(rows), shuffle=training, seed=seed)
    size = min(BATCH_SIZE, len(rows)) if training else _EVAL_BATCH
    return DataLoader(
        _Rows(rows, labels), batch_size=None, sampler=EpochBatches(sampler, batch_size=size, drop_last=training)
    )
