"""Mixup and CutMix over a batch, through torchvision."""

from collections.abc import Callable

from torch import Tensor
from torchvision.transforms import v2

# (float images (B, 3, S, S), class indices (B,)) -> (mixed images, class probabilities (B, K))
Mixer = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def make_mixer(*, num_classes: int, mixup: float, cutmix: float) -> Mixer | None:
    """Mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019) with Beta(alpha, alpha), at random for each batch.

    Args:
        mixup, cutmix: Their alpha; 0 turns them off.
    Returns:
        A function that draws from torch's global generator; None if both are off.
    """
    alphas = [(v2.MixUp, mixup), (v2.CutMix, cutmix)]
    mixers: list[Mixer] = [kind(alpha=alpha, num_classes=num_classes) for kind, alpha in alphas if alpha]
    return v2.RandomChoice(mixers) if len(mixers) > 1 else mixers[0] if mixers else None
