"""Low-rank adapters in a backbone, put there by peft; the pretrained weights stay the same tensors."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import nn

from thawline.errors import UserError, named
from thawline.models.adapted_layers import adapted_layers
from thawline.models.adapted_names import plain_name
from thawline.models.backbone import Backbone
from thawline.models.stages import Stage
from thawline.settings.lora_settings import LoraSettings

_CALLS_QKV = "qkv_bias_separate"  # timm's attribute


def add_adapters(backbone: Backbone, stages: Iterable[int], lora: LoraSettings) -> None:
    """Put adapters into these stages. The features stay what they were, because B of every adapter is zero.

    The first matrices are random, from torch's generator.

    Raises:
        UserError: peft is missing, there is no such layer, or a model reads a layer's weights without calling it.
    """
    layers = adapted_layers(backbone, stages, lora.modules)
    _inject(backbone.model, layers, lora)
    _call_fused_layers(backbone.model)
    backbone.stages = tuple(_with_adapters(stage, backbone.model) for stage in backbone.stages)
    backbone.train(backbone.training)  # new modules are in train mode
    _refuse_uncalled(backbone, layers)


def _inject(model: nn.Module, layers: Sequence[str], lora: LoraSettings) -> None:
    try:
        import peft  # not at the top: it imports transformers, which takes seconds
    except ImportError as error:
        raise UserError(f'strategy=lora: takes a package ({error}): pip install "thawline[lora]"') from error
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="|".join(re.escape(name) for name in layers),  # peft matches whole names with a string
    )
    peft.inject_adapter_in_model(config, model)


def _call_fused_layers(model: nn.Module) -> None:
    """Attention of BEiT, EVA and Swin V2 reads the weights of `qkv` unless it is asked to call it; timm has both."""
    for module in model.modules():
        if hasattr(module, _CALLS_QKV):
            setattr(module, _CALLS_QKV, True)


def _with_adapters(stage: Stage, model: nn.Module) -> Stage:
    """The stage with the names that its parameters have now, adapters included."""
    called = (f"{part}.{name}" for part in stage.modules for name, _ in model.get_submodule(part).named_parameters())
    inside = dict.fromkeys(called)
    top = [name for name in stage.parameters if name not in {plain_name(inner) for inner in inside}]
    return replace(stage, parameters=(*top, *inside))


@torch.no_grad()
def _refuse_uncalled(backbone: Backbone, layers: Sequence[str]) -> None:
    """An adapter works only if its layer is called. One image goes through the model in eval mode to see that."""
    called = set[str]()
    handles = [
        backbone.model.get_submodule(name).register_forward_hook(lambda *_, name=name: called.add(name))
        for name in layers
    ]
    training, weight = backbone.training, next(backbone.model.parameters())
    try:
        backbone.eval()
        backbone(torch.zeros(1, 3, backbone.input.size, backbone.input.size, device=weight.device))
    finally:
        backbone.train(training)
        for handle in handles:
            handle.remove()
    if silent := [name for name in layers if name not in called]:
        raise UserError(
            f"strategy.lora.modules: {backbone.name} reads the weights of {named(silent)} without calling the layers, "
            "so adapters would do nothing there; list other layers"
        )
