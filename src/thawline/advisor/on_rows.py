"""Train an option on stored activations in memory."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from thawline.advisor.options import BATCH_SIZE, HEAD_LR, Option, epochs_of
from thawline.data.dataset import EpochSampler, Key
from thawline.features.activations import at_cut
from thawline.features.stored_dataset import EpochBatches
from thawline.freezing.bound_plan import bind
from thawline.models.backbone import Backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.heads import LinearHead
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import Batch, TransferClassifier
from thawline.training.steps import Steps

_EVAL_BATCH = 128


def classifier_on_rows(
    option: Option,
    backbone: Backbone,
    *,
    num_rows: int,
    num_classes: int,
    rate: float,
    dtype: torch.dtype = torch.float32,
) -> TransferClassifier:
    """A new head on `backbone`, ready to train on `num_rows` activations at the option's cut.

    Args:
        option: Must not be a solved one.
        rate: Learning rate of the stages that train.
        dtype: Type of the frozen stages' arithmetic, for classifying images instead of rows.
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
    prefix = FrozenPrefix(backbone, dtype=dtype)
    return TransferClassifier(bound, num_classes=num_classes, optim=optim, steps=steps, prefix=prefix)


def batches_of_rows(rows: Tensor, labels: Tensor, *, cut: int, training: bool, seed: int = 0) -> DataLoader[Any]:
    """Batches of (images (B, 3, S, S) or `Activations`, class indices (B,)).

    For training they are shuffled in every epoch, and a smaller last batch is dropped.

    Args:
        rows: Activations at `cut`, (N, *row); at cut 0 uint8 images.
        labels: Class indices, (N,), int64.
    """
    sampler = EpochSampler(len(rows), shuffle=training, seed=seed)
    size = min(BATCH_SIZE, len(rows)) if training else _EVAL_BATCH
    batches = EpochBatches(sampler, batch_size=size, drop_last=training)
    return DataLoader(_Rows(rows, labels, cut), batch_size=None, sampler=batches)


class _Rows(Dataset[Batch]):
    def __init__(self, rows: Tensor, labels: Tensor, cut: int) -> None:
        self.rows, self.labels, self.cut = rows, labels, cut

    def __getitem__(self, keys: list[Key]) -> Batch:
        positions = torch.tensor([position for _, position in keys])
        return at_cut(self.rows[positions], self.cut), self.labels[positions]
