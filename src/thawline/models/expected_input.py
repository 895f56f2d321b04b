"""Size and statistics of the images that a model expects, read from the model."""

from timm.data.config import resolve_model_data_config
from timm.models import get_pretrained_cfg
from torch import nn

from thawline.data.input_spec import IMAGENET, InputSpec


def expected_input(model: nn.Module, image_size: int | None = None) -> InputSpec:
    """Size and statistics of the images that the model's weights expect; ImageNet's at 224 if the model has none.

    Args:
        image_size: Side of the images in pixels; None takes the model's size.
    """
    config = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    return InputSpec(
        size=image_size or _fixed_size(model) or int(config["input_size"][-1]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=str(config["interpolation"]),
        crop_pct=float(config["crop_pct"]),
    )


def usual_size(name: str) -> int:
    """Side in pixels of the images that the timm model of this name was made for."""
    config = get_pretrained_cfg(name, allow_unregistered=True)
    return IMAGENET.size if config is None else int(config.input_size[-1])


def input_channels(model: nn.Module) -> int:
    """Channels of the images: those of the first convolution's input; 3 if there is no convolution."""
    return next((m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d)), 3)


def _fixed_size(model: nn.Module) -> int | None:
    """The only side that the model takes: a ViT made with `img_size=64` takes 64, but its config says 224."""
    embed = getattr(model, "patch_embed", None)
    size = getattr(embed, "img_size", None)
    return int(size[-1]) if size and getattr(embed, "strict_img_size", False) else None
