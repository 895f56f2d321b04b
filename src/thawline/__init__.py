"""Thawline: where should the freeze line sit, and what does each choice cost?

The names below are what a script or a notebook needs; docs/python.md shows them. Each is imported at its first use, so
that `import thawline` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thawline.callbacks.freeze import FreezeCallback
    from thawline.callbacks.guard import FreezeBreach, FreezeGuard
    from thawline.commands.notebook import train
    from thawline.deploy.loaded import Model, Prediction, load
    from thawline.errors import UserError
    from thawline.freezing.status import trainable_line
    from thawline.models.backbone import Backbone
    from thawline.report.run_record import RunRecord
    from thawline.training.classifier import TransferClassifier
    from thawline.training.datamodule import ImageDataModule

__version__ = "0.1.0"
__all__ = [
    "Backbone",
    "FreezeBreach",
    "FreezeCallback",
    "FreezeGuard",
    "ImageDataModule",
    "Model",
    "Prediction",
    "RunRecord",
    "TransferClassifier",
    "UserError",
    "__version__",
    "load",
    "train",
    "trainable_line",
]
_MODULES = {
    "Backbone": "thawline.models.backbone",
    "FreezeBreach": "thawline.callbacks.guard",
    "FreezeCallback": "thawline.callbacks.freeze",
    "FreezeGuard": "thawline.callbacks.guard",
    "ImageDataModule": "thawline.training.datamodule",
    "Model": "thawline.deploy.loaded",
    "Prediction": "thawline.deploy.loaded",
    "RunRecord": "thawline.report.run_record",
    "TransferClassifier": "thawline.training.classifier",
    "UserError": "thawline.errors",
    "load": "thawline.deploy.loaded",
    "train": "thawline.commands.notebook",
    "trainable_line": "thawline.freezing.status",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'thawline' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
