"""Which linear layers of a backbone get an adapter."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from thawline.errors import UserError
from thawline.models.backbone import Backbone
from thawline.settings.lora_settings import AUTO_MODULES

# How timm names the linear layers of attention: one for queries, keys and values together, or several; and the output.
_ATTENTION = ("qkv", "q", "k", "v", "kv", "q_proj", "k_proj", "v_proj", "proj")
_MLP = ("fc1", "fc2")  # of a block, where there is no attention: ConvNeXt
_KEY = "strategy.lora.modules"
_ELSEWHERE = "strategy=partial_fine_tune trains stages of any backbone"


def adapted_layers(backbone: Backbone, stages: Iterable[int], modules: Any) -> list[str]:
    """Qualified names of the layers of these stages that get an adapter.

    Args:
        modules: Names of layers or endings of their names, or `auto`: those of attention, and where there is no
            attention those of the blocks' MLPs.
    Raises:
        UserError: There is no such layer; the line names those that are there.
    """
    called = sorted({name for index in stages for name in backbone.stages[index].modules})
    if not called:
        raise UserError(f"strategy.unfreeze_depth=0: adapters go into stages that train; set 1 or more. {_ELSEWHERE}")
    layers = [
        f"{part}.{name}".rstrip(".")
        for part in called
        for name, module in backbone.model.get_submodule(part).named_modules()
        if type(module) is nn.Linear  # a subclass may read its weights without being called
    ]
    if not layers:
        raise UserError(
            f"strategy=lora: {backbone.name} has no linear layers in the stages that train, and adapters go beside "
            f"those; {_ELSEWHERE}"
        )
    return _by_default(layers, backbone.name) if modules == AUTO_MODULES else _named(layers, modules, backbone.name)


def _by_default(layers: Sequence[str], model: str) -> list[str]:
    attention = [name for name in layers if "attn" in _parent(name) and _last(name) in _ATTENTION]
    if picked := attention or [name for name in layers if _last(name) in _MLP]:
        return picked
    raise UserError(f"{_KEY}=auto: {model} has no layers of the usual names; it has {_kinds(layers)}: list some")


def _named(layers: Sequence[str], modules: Sequence[str], model: str) -> list[str]:
    picked = dict[str, None]()
    for wanted in modules:
        matching = [name for name in layers if name == wanted or name.endswith(f".{wanted}")]
        if not matching:
            near = difflib.get_close_matches(wanted, [*dict.fromkeys(map(_last, layers)), *layers], n=3)
            hint = f"did you mean {', '.join(near)}? " if near else ""
            raise UserError(
                f"{_KEY}={wanted}: {model} has no such linear layer in the stages that train; {hint}It has "
                f"{_kinds(layers)}"
            )
        picked |= dict.fromkeys(matching)
    return list(picked)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _parent(name: str) -> str:
    return _last(name.rpartition(".")[0])


def _kinds(layers: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(map(_last, layers)))
