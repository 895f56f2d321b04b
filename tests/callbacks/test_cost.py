"""Costs by hand and against the measured reference."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from thawline.callbacks.cost import count_saved_bytes, optimizer_state_bytes, peak_memory_bytes
from thawline.models import freezing
from thawline.models.backbone import build_backbone
from thawline.models.classifier import TransferClassifier
from thawline.models.heads import LinearHead
from thawline.settings import OptimSettings


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


def test_flops_of_a_linear_layer_forward_and_backward() -> None:
    layer = nn.Linear(10, 3, bias=False)
    with FlopCounterMode(display=False) as counter:
        layer(torch.ones(8, 10)).sum().backward()
    assert counter.get_total_flops() == 2 * (2 * 8 * 10 * 3)  # forward, and the weight's gradient; x needs none


def test_peak_memory_of_this_process_is_plausible() -> None:
    assert 50e6 < peak_memory_bytes(torch.device("cpu")) < 50e9
