"""Train and eval transforms for the input that the backbone's weights expect: PIL image -> uint8 tensor (3, S, S)."""

from collections.abc import Callable

from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from thawline.data.input_spec import InputSpec
from thawline.settings.data_settings import AugmentSettings

Transform = Callable[[Image.Image], Tensor]
_ASPECT_RATIO = (3 / 4, 4 / 3)  # of random crops; torchvision's and timm's default


def eval_transform(spec: InputSpec) -> Transform:
    """Resize the shorter side to size / crop_pct, then crop the centre, as the weights were evaluated."""
    transform: Transform = v2.Compose([*_resize_and_crop(spec), v2.PILToTensor()])
    return transform


def train_transform(spec: InputSpec, augment: AugmentSettings) -> Transform:
    """The random views that `augment` describes; the eval transform if nothing in it is random."""
    if not augment.is_random:
        return eval_transform(spec)
    steps = _resize_and_crop(spec)
    if augment.min_scale < 1.0:
        scale = (augment.min_scale, 1.0)
        mode = v2.InterpolationMode(spec.interpolation)
        steps = [v2.RandomResizedCrop(spec.size, scale=scale, ratio=_ASPECT_RATIO, interpolation=mode)]
    if augment.hflip:
        steps.append(v2.RandomHorizontalFlip())
    if augment.vflip:
        steps.append(v2.RandomVerticalFlip())
    if augment.color:
        steps.append(v2.ColorJitter(brightness=augment.color, contrast=augment.color, saturation=augment.color))
    if augment.rand_ops:  # Cubuk et al. 2020, "RandAugment"
        steps.append(v2.RandAugment(num_ops=augment.rand_ops, magnitude=augment.rand_magnitude))
    transform: Transform = v2.Compose([*steps, v2.PILToTensor()])
    return transform


def _resize_and_crop(spec: InputSpec) -> list[Callable[[Image.Image], Image.Image]]:
    mode = v2.InterpolationMode(spec.interpolation)
    return [v2.Resize(int(spec.size / spec.crop_pct), interpolation=mode), v2.CenterCrop(spec.size)]
