"""Where the model looked: the heatmap laid over the model's input, as a PNG."""

import importlib
import io
from importlib.util import find_spec
from typing import Any

from torch import Tensor

from thawline.deploy.loaded import Model

HEATMAP_MODULE = "thawline.deploy.heatmap"


def can_explain() -> bool:
    return find_spec(HEATMAP_MODULE) is not None


def explained(model: Model, image: Tensor, class_index: int) -> bytes:
    """PNG of the input, uint8 (3, S, S), with the heat of a class over it."""
    heatmaps: Any = importlib.import_module(HEATMAP_MODULE)  # when it is asked for: a server starts without it
    file = io.BytesIO()
    heatmaps.overlay(image, heatmaps.heatmap(model, image, class_index)).save(file, "PNG")
    return file.getvalue()
