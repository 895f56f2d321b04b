"""One fit of one option: a head that is solved for, or stages that train to their last weights."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor

from judge.on_rows import Training, logits_of, train_on_rows
from judge.prepared import Prepared, pretrained
from judge.sweep_options import PROBE, Option
from thawline.advisor.choices import HEAD_LR
from thawline.features.logistic_probe import fit_logistic
from thawline.features.standardized import standardize
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings

CONF = Path(__file__).resolve().parents[3] / "conf"


@dataclass(frozen=True)
class Fit:
    """What a fit says of the images that it did not see.

    Attributes:
        val, test: Logits, (V, K) and (T, K).
        seconds: Of the fit, without validation in every epoch; the features were made before.
    """

    val: Tensor
    test: Tensor
    seconds: float


def solved_head(option: Option, prepared: Prepared, *, seed: int) -> Fit:
    """The penalty with the best accuracy on the validation images, of equals with the lower loss; as in a run."""
    taps = {tap.cut: tap for tap in prepared.readout.taps}  # the finest grid of every stage
    read = taps.values() if option == PROBE else [taps[max(taps)]]
    features = torch.cat([prepared.readout.split(prepared.features)[tap] for tap in read], 1)
    labels = prepared.part(prepared.labels, seed, "val")
    start = time.perf_counter()
    train, val = (prepared.part(features, seed, name) for name in ("train", "val"))
    rows, targets = standardize(train), prepared.part(prepared.labels, seed, "train")
    solution, best = None, ((-1.0, 0.0), train[0], train[0])
    for penalty in OmegaConf.load(CONF / "optim" / "lbfgs.yaml").penalties:
        solution = fit_logistic(rows, targets, num_classes=prepared.num_classes, penalty=penalty, start=solution)
        logits = F.linear(val, *solution)
        score = (accuracy(logits, labels), -float(F.cross_entropy(logits, labels)))
        best = max(best, (score, *solution), key=lambda scored: scored[0])
    seconds = time.perf_counter() - start
    test = prepared.part(features, seed, "test")
    return Fit(F.linear(val, *best[1:]), F.linear(test, *best[1:]), seconds)


def fine_tuned(option: Option, prepared: Prepared, *, seed: int, rate: float, epochs: int) -> Fit:
    """Train the option's stages at `rate`, as `strategy=partial_fine_tune` and the others do."""
    cut = option.num_frozen(prepared.backbone.num_stages)
    strategy = StrategySettings(option.strategy, unfreeze_depth=prepared.backbone.num_stages - cut)
    training = Training(strategy, OptimSettings(lr=HEAD_LR, backbone_lr=rate), epochs)
    return trained(training, prepared, cut=cut, seed=seed)


def trained(training: Training, prepared: Prepared, *, cut: int, seed: int) -> Fit:
    """Train on the activations at `cut`."""
    train, val, test = (prepared.part(prepared.rows(cut), seed, name) for name in ("train", "val", "test"))
    labels = prepared.part(prepared.labels, seed, "train")
    backbone = pretrained(prepared.backbone.name)
    start = time.perf_counter()
    model = train_on_rows(backbone, training, train, labels, cut=cut, num_classes=prepared.num_classes, seed=seed)
    seconds = time.perf_counter() - start
    return Fit(logits_of(model, val, cut=cut), logits_of(model, test, cut=cut), seconds)


def accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())
