"""Costs by hand and against the measured reference."""

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from thawline.callbacks.cost import CostCallback, count_saved_bytes, optimizer_state_bytes, peak_memory_bytes
from thawline.data.datamodule import ImageDataModule
from thawline.data.sources.source import ImageSource
from thawline.models import freezing
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.classifier import TransferClassifier
from thawline.models.heads import LinearHead
from thawline.settings import LoaderSettings, OptimSettings


def test_saved_bytes_of_a_linear_layer_are_its_input() -> None:
    layer, x = nn.Linear(10, 3), torch.randn(8, 10)
    with count_saved_bytes(layer.parameters()) as saved:
        layer(x).sum()
    assert saved == [8 * 10 * 4]  # float32; the weight is a parameter and is not counted


def test_a_shared_storage_is_counted_once() -> None:
    x = torch.randn(100, requires_grad=True)
    with count_saved_bytes(iter([])) as saved:
        (x * x).sum()  # saves x twice
    assert saved == [400]


@pytest.mark.parametrize(("depth", "megabytes", "tolerance"), [(0, 0.017, 0.03), (5, 178.0, 0.03)])
def test_resnet18_head_only_against_full_at_8_images_of_224(depth: int, megabytes: float, tolerance: float) -> None:
    backbone = build_backbone("resnet18", weights="none")
    stages = freezing.FreezePlan(num_stages=5, unfreeze_depth=depth).training_stages(0)
    freezing.apply(backbone, stages)
    head = LinearHead(512, 10)
    model = TransferClassifier(backbone, head, num_classes=10, stages=stages, optim=OptimSettings(), total_steps=1)
    images = torch.zeros(8, 3, 224, 224, dtype=torch.uint8)
    with count_saved_bytes(model.parameters()) as saved:
        F.cross_entropy(model(images), torch.zeros(8, dtype=torch.long))
    assert saved[0] / 1e6 == pytest.approx(megabytes, rel=tolerance)


def test_optimizer_state_of_adamw_is_two_copies_and_a_step_count() -> None:
    layer = nn.Linear(10, 3)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 10)).sum().backward()
    optimizer.step()
    assert optimizer_state_bytes(optimizer) == 2 * 33 * 4 + 2 * 4


def test_a_fit_counts_its_steps_by_hand(tiny_backbone: Backbone, colours: ImageSource) -> None:
    data = ImageDataModule(
        colours, spec=tiny_backbone.input, loader=LoaderSettings(batch_size=8, num_workers=0), seed=0
    )
    freezing.apply(tiny_backbone, frozenset())
    head = LinearHead(tiny_backbone.num_features, 4)
    model = TransferClassifier(
        tiny_backbone, head, num_classes=4, stages=frozenset(), optim=OptimSettings(), total_steps=6
    )
    callback = CostCallback()
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[callback],
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        tiny_backbone(torch.zeros(8, 3, 32, 32))
    # The head forward, and the gradient of its weight; its input needs none.
    step = forward.get_total_flops() + 2 * (2 * 8 * tiny_backbone.num_features * 4)
    assert callback.cost.train_flops == 6 * step  # 2 epochs of 3 batches
    # Kept for the backward pass: the features (8, D); and of the loss the log-softmax (8, 4), the labels (8,), int64,
    # and the sum of the class weights, one float.
    assert callback.cost.saved_activation_bytes == 8 * (tiny_backbone.num_features + 4) * 4 + 8 * 8 + 4
    assert callback.cost.optimizer_state_bytes == 2 * 4 * (4 * tiny_backbone.num_features + 4) + 2 * 4
    assert callback.cost.images_per_s > 0


def test_peak_memory_of_this_process_is_plausible() -> None:
    assert 50e6 < peak_memory_bytes(torch.device("cpu")) < 50e9
