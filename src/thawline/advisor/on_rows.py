"""An option as it trains on stored activations that are held in memory."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from thawline.advisor.options import BATCH_SIZE, HEAD_LR, Option, epochs_of
from thawline.data.dataset import EpochSampler, Key
from thawline.features.stored_dataset import EpochBatches
from thawline.freezing.bound_plan import bind
from thawline.models.backbone import Backbone
from thawline.models.heads import LinearHead
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier
from thawline.training.steps import Steps

_EVAL_BATCH = 128


def classifier_on_rows(
    option: Option,
    backbone: Backbone,
    *,
    num_rows: int,
    num_classes: int,
    rate: float,
    prefix_dtype: torch.dtype = torch.float32,
) -> TransferClassifier:
    """A new head on `backbone`, ready to train on `num_rows` activations at the option's cut.

    Args:
        option: One that trains, not a solved one.
        rate: Of the stages that train.
        prefix_dtype: Of what is frozen, where images are classified instead of rows.
    """
    epochs = epochs_of(option, num_rows)
    assert epochs is not None, option
    cut = option.num_frozen(backbone.num_stages)
    strategy = StrategySettings(option.strategy, unfreeze_depth=backbone.num_stages - cut)
    bound = bind(strategy, backbone, LinearHead(backbone.num_features, num_classes))
    bound.apply(0)
    per_epoch = max(1, num_rows // BATCH_SIZE)
    steps = Steps(per_epoch, per_epoch, per_epoch * epochs, epochs, 1.0)
    optim = OptimSettings(lr=HEAD_LR, backbone_lr=rate)
    model = TransferClassifier(bound, num_classes=num_classes, optim=optim, steps=steps, prefix_dtype=prefix_dtype)
    model.entry = cut
    return model


def batches_of_rows(rows: Tensor, labels: Tensor, *, training: bool, seed: int) -> DataLoader[Any]:
    """Batches (rows (B, *row), class indices (B,)); for training shuffled in every epoch, without a smaller last one.

    Args:
        rows: Activations or uint8 images, (N, *row).
        labels: Class indices, (N,), int64.
    """
    sampler = EpochSampler(len(rows), shuffle=training, seed=seed)
    size = min(BATCH_SIZE, len(rows)) if training else _EVAL_BATCH
    batches = EpochBatches(sampler, batch_size=size, drop_last=training)
    return DataLoader(_Rows(rows, labels), batch_size=None, sampler=batches)


class _Rows(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, rows: Tensor, labels: Tensor) -> None:
        self.rows, self.labels = rows, labels

    def __getitem__(self, keys: list[Key]) -> tuple[Tensor, Tensor]:
        positions = torch.tensor([position for _, position in keys])
        return self.rows[positions], self.labels[positions]
