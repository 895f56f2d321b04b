"""What a batch holds: images, or what was stored of them."""

import torch
from torch import Tensor

from thawline.errors import UserError
from thawline.features.readout import Readout
from thawline.models.backbone import Backbone


def holds_images(x: Tensor, backbone: Backbone, *, entry: int, readout: Readout | None) -> bool:
    """Whether a batch holds images; else it holds the activations at cut `entry`.

    uint8 is images always. Of another type a batch is activations only where some are stored, and then it must have
    their shape.

    Args:
        entry: 0 where nothing is stored.
        readout: What the stored rows are read by, where it is not the one stage before `entry`.
    Raises:
        UserError: Neither images nor the activations that are stored.
    """
    if x.dtype == torch.uint8 or entry == 0:
        return True
    row = (readout.num_features(backbone),) if readout else backbone.stages[entry - 1].out_shape
    if tuple(x.shape[1:]) != row:
        raise UserError(
            f"a batch of shape {tuple(x.shape)}: training reads what stage {backbone.stages[entry - 1].name} gave, "
            f"(B, {', '.join(map(str, row))}); images are uint8 here"
        )
    return False
