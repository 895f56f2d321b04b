"""What large vision transformers need in memory without sharding: the table of docs/transformers.md.

python scripts/evidence/sharding_memory.py

Nothing is trained and no weight is made: timm builds the models on PyTorch's meta device, where a tensor has a shape
only. Counted are weights, gradients and AdamW's state in fp32, which is what is kept of them in every precision here,
and the copy of the gradients that DDP sends. What autograd keeps for the backward pass is not counted: it grows with
the batch, sharding does not make it smaller, and `trainer.on_oom=halve` or a smaller batch does.
"""

from dataclasses import dataclass

import timm
import torch
from torch import nn

from thawline.markdown import markdown_table

MODELS = {
    "ViT-L/16": "vit_large_patch16_224",
    "ViT-H/14": "vit_huge_patch14_224",
    "ViT-g/14 (DINOv2)": "vit_giant_patch14_dinov2",
    "EVA-02-E/14": "eva02_enormous_patch14_clip_224",
    "ViT-7B/16 (DINOv3)": "vit_7b_patch16_dinov3",
}
_FP32 = 4  # bytes
_ADAMW = 2 * _FP32  # the running means of the gradient and of its square
_LAST = 4  # blocks
_RANK = 8  # of conf/strategy/lora.yaml


@dataclass(frozen=True)
class Needs:
    """Bytes of one process.

    Attributes:
        weights: All, frozen or not.
        gradients: Of what trains; twice that with DDP, which sends a copy.
        state: Of the optimizer.
    """

    weights: int
    gradients: int
    state: int

    @property
    def with_ddp(self) -> int:
        return self.weights + 2 * self.gradients + self.state


def needs(*, total: int, trained: int) -> Needs:
    """Of so many parameters.

    >>> needs(total=10, trained=4).with_ddp
    104
    """
    return Needs(total * _FP32, trained * _FP32, trained * _ADAMW)


def sizes(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Way of fine-tuning -> (parameters in all, parameters that train), without the head."""
    total = count(model)
    adapters = sum(
        _RANK * (layer.in_features + layer.out_features)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and name.rpartition(".")[2] in ("qkv", "q_proj", "k_proj", "v_proj", "proj")
    )
    blocks = model.get_submodule("blocks")
    assert isinstance(blocks, nn.Sequential | nn.ModuleList)
    return {
        "all": (total, total),
        f"last {_LAST} blocks": (total, sum(map(count, list(blocks)[-_LAST:]))),
        f"LoRA, rank {_RANK}": (total + adapters, adapters),
    }


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def rows() -> list[list[str]]:
    made = []
    for title, name in MODELS.items():
        with torch.device("meta"):
            model = timm.create_model(name, num_classes=0)
        for way, (total, trained) in sizes(model).items():
            of = needs(total=total, trained=trained)
            parts = (of.weights, of.gradients, of.state, of.with_ddp)
            cells = [f"{number / 1e9:.1f}" for number in parts]
            made.append([title, way, f"{total / 1e6:,.0f}", f"{trained / 1e6:,.1f}", *cells])
    return made


def main() -> None:
    heads = ["model", "trains", "parameters, M", "trained, M", "weights, GB", "gradients, GB", "AdamW, GB"]
    print(markdown_table([*heads, "together with DDP, GB"], rows()))


if __name__ == "__main__":
    main()
