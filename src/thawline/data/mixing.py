"""Mixup and CutMix over a batch, through torchvision."""

from collections.abc import Callable

from torch import Tensor
from torchvision.transforms import v2

# (float images (B, 3, S, S), class indices (B,)) -> (mixed images, class probabilities (B, K))
Mixer = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def make_mixer(*, num_classes: int, mixup: float, cutmix: float) -> Mixer | None:
    """Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) with Beta(alpha, alpha); one of the two for each batch.

    Args:
        mixup, cutmix: Their alpha; 0 turns them off.
    Returns:
        A function that draws from torch's global generator, or None where both are off.
    """
    wanted = [(v2.MixUp, mixup), (v2.CutMix, cutmix)]
    mixers: list[Mixer] = [kind(alpha=alpha, num_classes=num_classes) for kind, alpha in wanted if alpha]
    if not mixers:
        return None
    chosen: Mixer = v2.RandomChoice(mixers) if len(mixers) > 1 else mixers[0]
    return chosen
