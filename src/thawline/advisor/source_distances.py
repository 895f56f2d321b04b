"""The distance of images from what a backbone was trained on: by its BatchNorm, or by photographs if it has none."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from thawline.advisor.distance import Distances, batchnorm_reference, domain_distances, photo_reference
from thawline.advisor.moments import NUM_NOISE_IMAGES, batchnorm_moments, noise_images, stage_moments
from thawline.data.photographs import photographs
from thawline.data.transforms import eval_transform
from thawline.errors import UserError
from thawline.models.backbone import Backbone

_log = logging.getLogger(__name__)
_BATCH = 32  # photographs that are computed together


def source_distances(backbone: Backbone, batches: Sequence[Tensor], *, dtype: torch.dtype) -> Distances | None:
    """None if the backbone has no BatchNorm, and the photographs are not installed.

    Args:
        backbone: In eval mode, on the device of `batches`.
        batches: Target images, uint8, (B, 3, S, S) each.
    """
    device = batches[0].device
    noise = [noise_images(NUM_NOISE_IMAGES, backbone.input.size).to(device)]
    moments, reference = batchnorm_moments, batchnorm_reference(backbone)
    if not reference:
        try:
            transform = eval_transform(backbone.input)
            source = torch.stack([transform(photo) for photo in photographs()]).to(device)
        except UserError as error:
            _log.warning("Note: this backbone has no BatchNorm, and is compared with photographs instead: %s.", error)
            return None
        photos = stage_moments(backbone, torch.split(source, _BATCH), dtype=dtype)
        moments, reference = stage_moments, photo_reference(backbone, photos)
    target, of_noise = (moments(backbone, images, dtype=dtype) for images in (batches, noise))
    return domain_distances(target, of_noise, reference, num_stages=backbone.num_stages)
