"""Costs by hand and against the measured reference."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from thawline.callbacks.cost import CostCallback, optimizer_state_bytes, peak_memory_bytes
from thawline.freezing.bound_plan import bind
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.heads import LinearHead
from thawline.models.saved_bytes import count_saved_bytes
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier
from thawline.training.steps import Steps

Fit = Callable[..., Any]


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
    bound = bind(StrategySettings("test", unfreeze_depth=depth), backbone, LinearHead(512, 10))
    bound.apply(0)
    model = TransferClassifier(bound, num_classes=10, optim=OptimSettings(), steps=Steps(1, 1, 1, 1, 1.0))
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


def test_a_fit_counts_its_steps_by_hand(fit: Fit, tiny_backbone: Backbone) -> None:
    callback = CostCallback()
    fit(callback, unfreeze_depth=0)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        tiny_backbone(torch.zeros(8, 3, 32, 32))
    # The head forward, and the gradient of its weight; its input needs none.
    step = forward.get_total_flops() + 2 * (2 * 8 * tiny_backbone.num_features * 4)
    assert callback.cost.train_flops == 6 * step  # 2 epochs of 3 batches
    of_head = 2 * tiny_backbone.num_features * 4
    assert callback.cost.backward_flops == of_head
    assert callback.cost.forward_flops == forward.get_total_flops() / 8 + of_head
    # Kept for the backward pass: the features (8, D); and of the loss the log-softmax (8, 4), the labels (8,), int64,
    # and the sum of the class weights, one float.
    assert callback.cost.saved_activation_bytes == 8 * (tiny_backbone.num_features + 4) * 4 + 8 * 8 + 4
    assert callback.cost.optimizer_state_bytes == 2 * 4 * (4 * tiny_backbone.num_features + 4) + 2 * 4
    assert callback.cost.images_per_s > 0


def test_of_a_solver_no_operation_is_counted(fit: Fit) -> None:
    callback = CostCallback(counts_steps=False)
    fit(callback, unfreeze_depth=0)
    assert (callback.cost.train_flops, callback.cost.saved_activation_bytes) == (0, 0)
    assert callback.cost.images_per_s > 0


@pytest.mark.parametrize(("compiles", "images_per_s"), [(True, 8.0), (False, 36 / 123)])
def test_steps_that_compile_are_not_timed(monkeypatch: pytest.MonkeyPatch, compiles: bool, images_per_s: float) -> None:
    """By hand: a step takes a second; the first of 8 images and the first of 4 compile for a minute."""
    now = [0.0]
    monkeypatch.setattr("thawline.callbacks.cost.time.perf_counter", lambda: now[0])
    model, trainer = nn.Linear(1, 1), SimpleNamespace(world_size=1, optimizers=[])
    model.compiles, model.device = compiles, torch.device("cpu")  # type: ignore[assignment]
    callback = CostCallback(start=0.0)
    for number, (images, seconds) in enumerate(((8, 5.0), (8, 60.0), (8, 1.0), (8, 1.0), (4, 60.0), (8, 1.0))):
        batch = (None, torch.zeros(images))
        callback.on_train_batch_start(trainer, model, batch, number)  # type: ignore[arg-type]
        now[0] += seconds
        callback.on_train_batch_end(trainer, model, None, batch, number)  # type: ignore[arg-type]
    callback.on_train_end(trainer, model)  # type: ignore[arg-type]
    assert callback.cost.images_per_s == pytest.approx(images_per_s)


def test_a_thaw_is_counted_with_its_own_steps(fit: Fit) -> None:
    flops = {}
    for depth, thaw in ((0, 0), (2, 0), (2, 1)):
        callback = CostCallback()
        fit(callback, unfreeze_depth=depth, thaw_after=thaw)
        flops[depth, thaw] = callback.cost.train_flops
    assert flops[2, 1] * 2 == flops[0, 0] + flops[2, 0]  # one epoch of each
    assert flops[0, 0] < flops[2, 1]


def test_peak_memory_of_this_process_is_plausible() -> None:
    assert 50e6 < peak_memory_bytes(torch.device("cpu")) < 50e9
