"""All that the speed table takes from inside Thawline."""

from speed.extraction import held, pass_s
from thawline.features.activations import Activations
from thawline.features.extract import Mode, PrefixRunner, Tap
from thawline.freezing.bound_plan import bind
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.heads import LinearHead
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier
from thawline.training.steps import Steps

__all__ = [
    "Activations",
    "Backbone",
    "FrozenPrefix",
    "Mode",
    "PrefixRunner",
    "Tap",
    "TransferClassifier",
    "build_backbone",
    "held",
    "make_classifier",
    "pass_s",
]


def make_classifier(backbone: Backbone, depth: int, *, num_classes: int) -> TransferClassifier:
    """What a run trains: a linear head and the last `depth` stages; the rest is frozen."""
    head = LinearHead(backbone.num_features, num_classes)
    bound = bind(StrategySettings("speed", unfreeze_depth=depth), backbone, head)
    bound.apply(0)
    steps = Steps(batches=100, per_epoch=100, total=100, epochs=1, validate_every=1.0)
    return TransferClassifier(bound, num_classes=num_classes, optim=OptimSettings(), steps=steps)
