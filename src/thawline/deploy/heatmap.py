"""Where a model looks: which parts of an image its answer needs.

Part after part is covered, and the fall of the class's log-odds is the heat (Zeiler and Fergus 2014, "Visualizing and
Understanding Convolutional Networks"). It needs answers only, so it serves stacks, blends, CNNs and ViTs alike, where
gradients through a stack of every stage, or Grad-CAM at one of them, would explain a part of the answer.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_CELLS = 7  # a side; Grad-CAM on the last stage of a backbone has as many at 224 pixels
_WINDOW = 2  # cells a side that are covered together: one alone is often made up for by its neighbours
_BATCH = 16  # images that are computed together
_STOPS = ((0.0, (20, 11, 52)), (0.4, (153, 40, 98)), (0.75, (245, 125, 21)), (1.0, (252, 255, 164)))  # like "inferno"
_OPACITY = 0.75  # of the hottest part; chosen: the image stays recognisable below


class _Net(Protocol):
    def log_probabilities(self, images: Tensor) -> Tensor: ...


class Answers(Protocol):
    """A `deploy.loaded.Model`: `net.log_probabilities` takes uint8 images (B, 3, S, S), gives (B, K)."""

    @property
    def net(self) -> _Net: ...


def heatmap(model: Answers, image: Tensor, class_index: int) -> Tensor:
    """How much the answer `class_index` needs each part of the image.

    Costs 65 forward passes.

    Args:
        image: Prepared (`Model.prepare`), uint8, (3, S, S).
    Returns:
        (S, S), float32, from 0 to 1: 1 is the part whose cover costs most; all 0 where no cover costs anything.
    """
    *_, heat = heatmap_steps(model, image, class_index)
    assert heat is not None
    return heat


def heatmap_steps(model: Answers, image: Tensor, class_index: int) -> Iterator[Tensor | None]:
    """`heatmap` in steps of a batch each, between which something else may use the model: None, ... and the heat."""
    masks = _covers(image.shape[-1])  # (M, S, S), bool
    grey = image.float().mean((1, 2)).round().to(torch.uint8)[:, None, None]  # the image's mean colour
    covered = torch.where(masks[:, None], grey, image)  # (M, 3, S, S)
    rows = []
    for batch in torch.split(torch.cat([image[None], covered]), _BATCH):
        rows.append(model.net.log_probabilities(batch))
        yield None
    odds = _log_odds(torch.cat(rows), class_index)  # (1 + M,)
    falls = odds[0] - odds[1:]
    weights = masks.float()
    heat = (torch.einsum("m,mhw->hw", falls, weights) / weights.sum(0)).clamp(min=0)
    smooth = _smoothed(heat)
    yield smooth / smooth.max() if smooth.max() > 0 else smooth


def _covers(side: int) -> Tensor:
    """Every window of `_WINDOW` x `_WINDOW` cells, also those that lie partly outside: (M, S, S), bool."""
    cell = torch.arange(side) * _CELLS // side  # (S,): the cell of each pixel
    starts = range(1 - _WINDOW, _CELLS)
    lines = [(cell >= start) & (cell < start + _WINDOW) for start in starts]
    return torch.stack([rows[:, None] & columns for rows in lines for columns in lines])


def _log_odds(log_probabilities: Tensor, class_index: int) -> Tensor:
    """(B, K) -> (B,). Unlike probabilities they still change where the model is certain."""
    others = torch.cat([log_probabilities[:, :class_index], log_probabilities[:, class_index + 1 :]], dim=1)
    return log_probabilities[:, class_index] - others.logsumexp(1)


def _smoothed(heat: Tensor) -> Tensor:
    """Without the edges of the cells: (S, S) -> (S, S)."""
    small = torch.nn.functional.adaptive_avg_pool2d(heat[None, None], min(_CELLS, heat.shape[-1]))
    size = list(heat.shape)
    return torch.nn.functional.interpolate(small, size, mode="bilinear", align_corners=False)[0, 0]


def overlay(image: Image.Image | Tensor, heat: Tensor) -> Image.Image:
    """The image in grey with the heat in colour over it: none where it is cold, violet to light yellow where it is hot.

    Args:
        image: RGB in any size, or prepared, uint8, (3, S, S); heat: (S, S), from 0 to 1.
    """
    picture = as_picture(image)
    values = np.asarray(
        Image.fromarray(heat.numpy().astype(np.float32)).resize(picture.size, Image.Resampling.BILINEAR)
    ).clip(0, 1)  # (H, W)
    grey = np.asarray(picture.convert("L"), dtype=np.float32)[..., None]  # (H, W, 1)
    at = [stop for stop, _ in _STOPS]
    colour = np.stack([np.interp(values, at, [rgb[c] for _, rgb in _STOPS]) for c in range(3)], axis=-1)
    opacity = (_OPACITY * np.sqrt(values))[..., None]
    return Image.fromarray((grey * (1 - opacity) + colour * opacity).round().astype(np.uint8))


def as_picture(image: Image.Image | Tensor) -> Image.Image:
    """A prepared image, uint8, (3, S, S), as a picture."""
    if isinstance(image, Tensor):
        return Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
    return image.convert("RGB")
