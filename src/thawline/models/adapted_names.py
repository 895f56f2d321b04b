"""Names and values of weights where adapters lie beside layers, without peft: as tensors by name.

peft puts a layer `X` into another: its weights become `X.base_layer.weight` and `.bias`, the adapter's are
`X.lora_A.default.weight`, (rank, inputs), and `X.lora_B.default.weight`, (outputs, rank).
"""

from collections.abc import Mapping

from torch import Tensor

ADAPTER = ".lora_"  # in the names of the adapters' tensors, and in no others
_BASE = ".base_layer."
_FIRST, _SECOND = ".lora_A.default.weight", ".lora_B.default.weight"


def plain_name(name: str) -> str:
    """The name that a pretrained tensor has without adapters; an adapter's stays.

    >>> plain_name("blocks.0.attn.qkv.base_layer.weight")
    'blocks.0.attn.qkv.weight'
    """
    return name.replace(_BASE, ".")


def plain_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All tensors, the pretrained ones under the names that they have without adapters."""
    return {plain_name(name): tensor for name, tensor in tensors.items()}


def without_adapters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The pretrained tensors, as a model without adapters names them."""
    return {name: tensor for name, tensor in plain_names(tensors).items() if ADAPTER not in name}


def merged(tensors: Mapping[str, Tensor], *, scaling: float) -> dict[str, Tensor]:
    """What a model without adapters takes to compute the same: W + scaling * B A in place of W, B and A.

    Args:
        tensors: A state dict; without adapters in it nothing changes.
        scaling: `LoraSettings.scaling`.
    """
    plain = without_adapters(tensors)
    for name, first in tensors.items():
        if name.endswith(_FIRST):
            layer = name.removesuffix(_FIRST)
            change = tensors[f"{layer}{_SECOND}"] @ first  # (outputs, rank) (rank, inputs)
            plain[f"{layer}.weight"] = plain[f"{layer}.weight"] + scaling * change
    return plain
