"""What `ImageDataModule.from_folder` works out: the size of the images, and the settings of the loader."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from thawline.data.input_spec import IMAGENET, InputSpec
from thawline.errors import UserError
from thawline.models.backbone import Backbone
from thawline.models.expected_input import expected_input
from thawline.settings.data_settings import AugmentSettings, LoaderSettings


def spec_for(backbone: Backbone | nn.Module | None, image_size: int | None) -> InputSpec:
    """What the backbone expects, or ImageNet's at 224 without one; at `image_size` where that is given."""
    if backbone is None:
        spec = IMAGENET
    else:
        spec = backbone.input if isinstance(backbone, Backbone) else expected_input(backbone)
    return replace(spec, size=image_size or spec.size)


def loader_for(augment: AugmentSettings | Mapping[str, Any] | None, given: Mapping[str, Any]) -> LoaderSettings:
    """Settings of the loader, those of the random views among them.

    Raises:
        UserError: There is no such setting, or its value is wrong.
    """
    _refuse_unknown(given, LoaderSettings)
    if augment is None or isinstance(augment, Mapping):
        _refuse_unknown(augment or {}, AugmentSettings, of=" of augment")
        augment = AugmentSettings(**(augment or {}))
    return LoaderSettings(augment=augment, **given)


def _refuse_unknown(given: Mapping[str, Any], settings: type[Any], *, of: str = "") -> None:
    known = list(settings.__dataclass_fields__)
    if unknown := [key for key in given if key not in known]:
        raise UserError(
            f"ImageDataModule.from_folder: {unknown[0]}: no such argument{of}; allowed are {', '.join(known)}"
        )
