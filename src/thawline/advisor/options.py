"""The options that the advice chooses from: a strategy, and the number of final stages that it trains."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """One strategy at one depth.

    Attributes:
        strategy: Name of a file in conf/strategy/.
        depth: Final stages that train; 0 is the head only, None is every stage.
    """

    strategy: str
    depth: int | None = 0

    @property
    def name(self) -> str:
        """Short and unique, such as `partial_fine_tune_2`."""
        return f"{self.strategy}_{self.depth}" if self.depth else self.strategy

    @property
    def solved(self) -> bool:
        """Whether the head is solved for on stored features. Then no stage trains, and there is no learning rate."""
        return self.depth == 0

    def fits(self, num_stages: int) -> bool:
        """Whether a backbone of so many stages has this depth without training every stage (None always fits)."""
        return self.depth is None or self.depth < num_stages

    def num_frozen(self, num_stages: int) -> int:
        """Leading stages that stay frozen."""
        return 0 if self.depth is None else num_stages - self.depth


BATCH_SIZE = 32  # conf/loader/default.yaml
# Chosen, not tuned: 8 epochs, but at least 128 steps. Few images need many epochs (Mosbach et al. 2021, "On the
# Stability of Fine-tuning BERT"). The least number of steps was set after a sweep of 100 digits on Lite0: with 24 steps
# full fine-tuning had a test accuracy of 0.55, with 129 it has 0.88. Very many images need fewer epochs; not measured.
_EPOCHS = 8
_LEAST_STEPS = 128
_STEPS_ENOUGH = 3000
_LEAST_EPOCHS = 2
HEAD_LR = 1e-3  # conf/strategy/partial_fine_tune.yaml, full_fine_tune.yaml
USUAL_RATE = 3e-4  # of the stages that train: conf/strategy/partial_fine_tune.yaml, full_fine_tune.yaml
LOW_RATE = 1e-4  # the guidelines' "low learning rate" for similar images; chosen: a third of the usual one
OPTIONS = (
    Option("feature_extraction"),
    Option("multi_layer_probe"),
    Option("partial_fine_tune", 1),
    Option("partial_fine_tune", 2),
    Option("partial_fine_tune", 3),
    Option("partial_fine_tune", 5),
    Option("full_fine_tune", None),
)


def rate_of(option: Option, *, similar: bool) -> float | None:
    """Learning rate of the stages that train, a low one for images similar to the source; None for a solved head."""
    if option.solved:
        return None
    return LOW_RATE if similar else USUAL_RATE


def epochs_of(option: Option, num_train: int) -> int | None:
    """Epochs to train; None for a solved head."""
    if option.solved:
        return None
    per_epoch = max(1, num_train // BATCH_SIZE)
    enough = max(_LEAST_EPOCHS, min(_EPOCHS, round(_STEPS_ENOUGH / per_epoch)))
    return max(enough, math.ceil(_LEAST_STEPS / per_epoch))


def overrides(option: Option, *, rate: float | None, epochs: int | None) -> list[str]:
    """The overrides on a run's command line."""
    if option.strategy == "feature_extraction":
        return ["strategy=feature_extraction", "optim=lbfgs", "data.augment=none"]
    if option.strategy == "multi_layer_probe":
        return ["strategy=multi_layer_probe"]
    assert rate is not None
    assert epochs is not None
    depth = [] if option.depth is None else [f"strategy.unfreeze_depth={option.depth}"]
    trained = [f"strategy={option.strategy}", *depth, f"optim.lr={HEAD_LR:g}", f"optim.backbone_lr={rate:g}"]
    return [*trained, f"trainer.max_epochs={epochs}", "data.augment=none"]
