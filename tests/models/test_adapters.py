"""Adapters beside linear layers: where they go, that they start as nothing, and that merging changes no answer."""

import re
import sys
from collections.abc import Callable
from functools import cache

import pytest
import torch
from timm.models.beit import Beit
from torch import nn

from thawline.errors import UserError
from thawline.models import adapters
from thawline.models.adapted_layers import adapted_layers
from thawline.models.adapted_names import merged, plain_names, without_adapters
from thawline.models.adapters import add_adapters
from thawline.models.backbone import Backbone
from thawline.settings.lora_settings import LoraSettings

SIZE = 64
LORA = LoraSettings(rank=2, alpha=6.0)


def vit() -> Backbone:
    """6 blocks of width 64 behind a stem: 7 stages."""
    torch.manual_seed(0)
    return Backbone("test_vit", weights="none", image_size=SIZE).eval()


@cache
def plain() -> Backbone:
    """One that no test changes."""
    return vit()


def beit() -> Backbone:
    """Its attention reads the weights of qkv, as that of EVA and Swin V2, to add a bias without one for keys."""
    torch.manual_seed(0)
    model = Beit(img_size=32, patch_size=16, embed_dim=32, depth=2, num_heads=2, qkv_bias=True, num_classes=0)
    return Backbone(model, image_size=32).eval()


def test_merging_adds_the_scaled_product_under_the_plain_name() -> None:
    tensors = {
        "fc.base_layer.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        "fc.base_layer.bias": torch.tensor([5.0, 6.0]),
        "fc.lora_A.default.weight": torch.tensor([[1.0, -1.0]]),  # rank 1
        "fc.lora_B.default.weight": torch.tensor([[2.0], [0.5]]),
        "norm.weight": torch.tensor([7.0]),
    }
    plain = merged(tensors, scaling=3.0)  # 3 * [[2, -2], [0.5, -0.5]]
    assert plain["fc.weight"].tolist() == [[7.0, -4.0], [4.5, 2.5]]
    assert plain["fc.bias"].tolist() == [5.0, 6.0]
    assert list(plain) == ["fc.weight", "fc.bias", "norm.weight"]
    assert list(without_adapters(tensors)) == list(plain)
    assert len(plain_names(tensors)) == 5
    assert tensors["fc.base_layer.weight"].tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_by_default_attention_gets_adapters_and_in_convnext_the_mlp() -> None:
    assert adapted_layers(plain(), [6], "auto") == ["blocks.5.attn.qkv", "blocks.5.attn.proj"]
    assert len(adapted_layers(plain(), range(7), "auto")) == 12
    convnext = Backbone("test_convnext", weights="none", image_size=SIZE)
    assert {name.rpartition(".")[2] for name in adapted_layers(convnext, range(5), "auto")} == {"fc1", "fc2"}


def test_layers_are_named_by_the_ends_of_their_names() -> None:
    assert adapted_layers(plain(), [1, 2], ["mlp.fc1"]) == ["blocks.0.mlp.fc1", "blocks.1.mlp.fc1"]
    assert adapted_layers(plain(), [1, 2], ["blocks.1.attn.qkv"]) == ["blocks.1.attn.qkv"]


@pytest.mark.parametrize(
    ("stages", "modules", "says"),
    [
        ([1], ["qvk"], "strategy.lora.modules=qvk: test_vit has no such linear layer in the stages that train; "
         "did you mean qkv? It has qkv, proj, fc1, fc2"),
        ([1], ["blocks.5.attn.qkv"], "no such linear layer in the stages that train"),
        ([], "auto", "strategy.unfreeze_depth=0: adapters go into stages that train; set 1 or more"),
        ([0], "auto", "test_vit has no linear layers in the stages that train"),
    ],
)  # fmt: skip
def test_where_no_adapter_can_go_is_told(stages: list[int], modules: object, says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        adapted_layers(plain(), stages, modules)


def test_a_network_of_convolutions_is_refused(tiny_backbone: Backbone) -> None:
    with pytest.raises(UserError, match=r"test_resnet has no linear layers .*strategy=partial_fine_tune"):
        adapted_layers(tiny_backbone, range(7), "auto")


def test_without_peft_the_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r'strategy=lora: takes a package .*: pip install "thawline\[lora\]"'):
        add_adapters(plain(), [6], LORA)


@pytest.mark.parametrize("made", [vit, beit])
def test_adapters_start_as_nothing_and_merge_into_plain_weights(made: Callable[[], Backbone]) -> None:
    pytest.importorskip("peft")
    backbone = made()
    pretrained = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    images = torch.randn(2, 3, backbone.input.size, backbone.input.size)
    with torch.no_grad():
        before = backbone(images)
        add_adapters(backbone, range(1, backbone.num_stages), LORA)
        torch.testing.assert_close(backbone(images), before, rtol=0, atol=1e-6)
        for name, parameter in backbone.model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=0.1)
        adapted = backbone(images)
        assert (adapted - before).abs().max() > 1e-2
        plain = merged(backbone.model.state_dict(), scaling=LORA.scaling)
        base = without_adapters(backbone.model.state_dict())
        assert all(torch.equal(base[name], tensor) for name, tensor in pretrained.items())
        fresh = made()
        fresh.model.load_state_dict(plain)
        torch.testing.assert_close(fresh(images), adapted, rtol=0, atol=1e-5)


def test_what_a_merge_makes_is_what_peft_makes() -> None:
    pytest.importorskip("peft")
    backbone = vit()
    add_adapters(backbone, [6], LORA)
    layer = backbone.model.get_submodule("blocks.5.attn.qkv")
    nn.init.normal_(layer.lora_B["default"].weight)  # type: ignore[index, union-attr, arg-type]
    wanted = layer.base_layer.weight + layer.get_delta_weight("default")  # type: ignore[operator, union-attr]
    plain = merged(backbone.model.state_dict(), scaling=LORA.scaling)
    torch.testing.assert_close(plain["blocks.5.attn.qkv.weight"], wanted)


def test_stages_hold_their_adapters_and_stages_without_stay_as_they_were() -> None:
    pytest.importorskip("peft")
    backbone = vit()
    names = [stage.parameters for stage in backbone.stages]
    add_adapters(backbone, [6], LORA)
    assert [stage.parameters for stage in backbone.stages[:6]] == names[:6]
    added = {n: p.numel() for n, p in backbone.stage_parameters(6).items() if "lora_" in n}
    assert sum(added.values()) == 2 * (64 + 192) + 2 * (64 + 64)  # qkv and proj: rank * (inputs + outputs)
    assert {name for name, _ in backbone.model.named_parameters()} == {n for s in backbone.stages for n in s.parameters}


def test_a_layer_whose_weights_are_read_without_a_call_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    monkeypatch.setattr(adapters, "_call_fused_layers", lambda model: None)
    with pytest.raises(UserError, match=r"Beit reads the weights of blocks\.0\.attn\.qkv, blocks\.1\S+ without"):
        add_adapters(beit(), [1, 2], LORA)
