"""What a model expects of its images, read off the model."""

from timm.data.config import resolve_model_data_config
from torch import nn

from thawline.data.input_spec import InputSpec


def expected_input(model: nn.Module, image_size: int | None = None) -> InputSpec:
    """Size and statistics of the images that the model's weights expect; ImageNet's at 224 where it does not say.

    Args:
        image_size: Side of the images in pixels; None takes the size that the model was made for.
    """
    config = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    return InputSpec(
        size=image_size or _fixed_size(model) or int(config["input_size"][-1]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=str(config["interpolation"]),
        crop_pct=float(config["crop_pct"]),
    )


def input_channels(model: nn.Module) -> int:
    """Channels of the images, as the first convolution takes them; 3 where there is none."""
    return next((m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d)), 3)


def _fixed_size(model: nn.Module) -> int | None:
    """The side that a model was made for and insists on: a ViT made with `img_size=64` still has 224 in its config."""
    embed = getattr(model, "patch_embed", None)
    size = getattr(embed, "img_size", None)
    return int(size[-1]) if size and getattr(embed, "strict_img_size", False) else None
