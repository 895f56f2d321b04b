"""Train on stored activations in memory, to the last weights."""

from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from judge.prepared import DTYPE
from thawline.advisor.choices import BATCH_SIZE
from thawline.callbacks.freeze import FreezeCallback
from thawline.callbacks.seed_each_step import SeedEachStep
from thawline.data.dataset import EpochSampler, Key
from thawline.features.activations import at_cut
from thawline.features.stored_dataset import EpochBatches
from thawline.freezing.bound_plan import bind
from thawline.machine.number_formats import autocast
from thawline.models.backbone import Backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.heads import LinearHead
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import Batch, TransferClassifier
from thawline.training.steps import Steps

_EVAL_BATCH = 128  # images


@dataclass(frozen=True)
class Training:
    """How to train: which stages, at which rates, how long."""

    strategy: StrategySettings
    optim: OptimSettings
    epochs: int


def train_on_rows(
    backbone: Backbone, training: Training, rows: Tensor, labels: Tensor, *, cut: int, num_classes: int, seed: int
) -> TransferClassifier:
    """Train a new linear head, and what the strategy lets train of `backbone`; in eval mode, with its last weights.

    Args:
        rows: Activations at `cut`, (N, *row); at cut 0 uint8 images.
        labels: Class indices, (N,), int64.
    """
    L.seed_everything(seed, verbose=False)
    bound = bind(training.strategy, backbone, LinearHead(backbone.num_features, num_classes))
    bound.apply(0)
    per_epoch = max(1, len(rows) // BATCH_SIZE)
    steps = Steps(per_epoch, per_epoch, per_epoch * training.epochs, training.epochs, 1.0)
    prefix = FrozenPrefix(backbone, dtype=DTYPE)
    model = TransferClassifier(bound, num_classes=num_classes, optim=training.optim, steps=steps, prefix=prefix)
    trainer = L.Trainer(
        accelerator="cpu", precision="bf16-mixed", max_epochs=training.epochs, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[FreezeCallback.bound_to(bound), SeedEachStep(seed)],
    )  # fmt: skip
    trainer.fit(model, _batches(rows, labels, cut=cut, seed=seed))
    return model.eval()


@torch.no_grad()
def logits_of(model: TransferClassifier, rows: Tensor, *, cut: int) -> Tensor:
    """Logits (N, K), float32, of activations at `cut` or of images."""
    with autocast(DTYPE, model.device):
        return torch.cat([model(at_cut(part, cut)).float() for part in torch.split(rows, _EVAL_BATCH)])


def _batches(rows: Tensor, labels: Tensor, *, cut: int, seed: int) -> DataLoader[Any]:
    """Shuffled in every epoch; a smaller last batch is dropped."""
    sampler = EpochSampler(len(rows), shuffle=True, seed=seed)
    batches = EpochBatches(sampler, batch_size=min(BATCH_SIZE, len(rows)), drop_last=True)
    return DataLoader(_Rows(rows, labels, cut), batch_size=None, sampler=batches)


class _Rows(Dataset[Batch]):
    def __init__(self, rows: Tensor, labels: Tensor, cut: int) -> None:
        self.rows, self.labels, self.cut = rows, labels, cut

    def __getitem__(self, keys: list[Key]) -> Batch:
        positions = torch.tensor([position for _, position in keys])
        return at_cut(self.rows[positions], self.cut), self.labels[positions]
