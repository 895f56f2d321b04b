"""Attention runs as one operation, `scaled_dot_product_attention`, and nothing of ours turns that off for good."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from thawline.deploy.heatmap import heatmap
from thawline.features.extract import Mode, PrefixRunner, Tap
from thawline.freezing.bound_plan import bind
from thawline.models.adapters import add_adapters
from thawline.models.backbone import Backbone
from thawline.models.flops import flop_formulas
from thawline.models.heads import LinearHead
from thawline.models.saved_bytes import count_saved_bytes
from thawline.settings.lora_settings import LoraSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier

SIZE, BLOCKS = 64, 6
_WHOLE = "aten.scaled_dot_product_attention"  # as in inference mode, where torch takes it apart further below
IMAGES = torch.zeros(2, 3, SIZE, SIZE, dtype=torch.uint8)


class Kernels(TorchDispatchMode):
    """Counts the attentions that ran as one kernel; the plain form would show as products and a softmax."""

    fused = softmax = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        self.fused += name.startswith(("aten._scaled_dot_product_flash_attention", _WHOLE)) and "backward" not in name
        self.softmax += "softmax" in name and "log_softmax" not in name
        return func(*args, **(kwargs or {}))


def kernels_of(run: Callable[[], Any]) -> tuple[int, int]:
    with Kernels() as kernels:
        run()
    return kernels.fused, kernels.softmax


@pytest.fixture
def vit() -> Backbone:
    torch.manual_seed(0)
    return Backbone("test_vit", weights="none", image_size=SIZE).eval()


def classifier(vit: Backbone, *, depth: Any, parameters: str = "all") -> TransferClassifier:
    strategy = StrategySettings("test", unfreeze_depth=depth, parameters=parameters)
    bound = bind(strategy, vit, LinearHead(vit.num_features, 2))
    bound.apply(0)
    return TransferClassifier(bound, num_classes=2).train()


def test_the_pass_over_the_images(vit: Backbone) -> None:
    taps = [Tap(3), Tap(5, 1), Tap(vit.num_stages)]
    for dtype in (torch.float32, torch.bfloat16):
        runner = PrefixRunner(vit, taps, Mode(dtype, batch_size=2))
        assert kernels_of(lambda runner=runner: runner(IMAGES)) == (BLOCKS, 0)


@pytest.mark.parametrize("depth", [0, 2, "all"])
def test_training(vit: Backbone, depth: Any) -> None:
    model = classifier(vit, depth=depth)
    assert kernels_of(lambda: model(IMAGES).sum().backward()) == (BLOCKS, 0)


def test_training_adapters(vit: Backbone) -> None:
    pytest.importorskip("peft")
    add_adapters(vit, range(vit.num_stages), LoraSettings(rank=2))
    model = classifier(vit, depth="all", parameters="lora")
    assert kernels_of(lambda: model(IMAGES).sum().backward()) == (BLOCKS, 0)


def count_saved(vit: Backbone) -> None:
    with count_saved_bytes(vit.parameters()):
        vit(vit.normalize(IMAGES)).sum().backward()


def count_operations(vit: Backbone) -> None:
    with FlopCounterMode(display=False, custom_mapping=flop_formulas()):
        vit(vit.normalize(IMAGES))


def explain(vit: Backbone) -> None:
    head = nn.Linear(vit.num_features, 2)

    @torch.no_grad()
    def answers(images: Tensor) -> Tensor:
        return head(vit(vit.normalize(images))).log_softmax(1)

    heatmap(SimpleNamespace(net=SimpleNamespace(log_probabilities=answers)), IMAGES[0], 1)


@pytest.mark.parametrize("use", [count_saved, count_operations, explain])
def test_nothing_that_looks_inside_turns_it_off(vit: Backbone, use: Callable[[Backbone], None]) -> None:
    use(vit)
    assert all(module.fused_attn for module in vit.modules() if hasattr(module, "fused_attn"))
    assert kernels_of(lambda: vit(vit.normalize(IMAGES))) == (BLOCKS, 0)


def test_the_plain_form_would_be_seen(vit: Backbone) -> None:
    for module in vit.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    assert kernels_of(lambda: vit(vit.normalize(IMAGES))) == (0, BLOCKS)
