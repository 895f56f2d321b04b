"""What the advice chooses from: the stacked probe, solved in seconds, and its blend with fine-tuned stages."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from thawline.advisor.guidelines import cell_of, is_similar
from thawline.advisor.profile import DepthProfile
from thawline.features.expected import Expected
from thawline.settings.advise_settings import BudgetSettings

BATCH_SIZE = 32  # conf/loader/default.yaml
# 8 epochs, but at least 128 steps: few images need many epochs (Mosbach et al. 2021, "On the Stability of Fine-tuning
# BERT"). Measured on 100 digits with Lite0: with 24 steps full fine-tuning had a test accuracy of 0.55, with 129 it has
# 0.88. Very many images need fewer epochs; not measured.
_EPOCHS = 8
_LEAST_STEPS = 128
_STEPS_ENOUGH = 3000
_LEAST_EPOCHS = 2
# For images unlike the source a blend trains a quarter of the stages more than those from the best probe on. Measured
# on Lite0 and Lite1 (docs/stack.md). For similar ones it gained nothing; the guidelines too train less there.
_DEEPER = 4
HEAD_LR = 1e-3  # conf/strategy/blend.yaml
USUAL_RATE = 3e-4  # of the stages that train: conf/strategy/blend.yaml
_LOW_RATE = 1e-4  # the guidelines' "low learning rate" for similar images: a third of the usual one


@dataclass(frozen=True)
class Price:
    """Cost of a run on this machine: the time of training and validations, and the peak memory."""

    seconds: float
    memory_bytes: int


@dataclass(frozen=True)
class Choice:
    """A strategy at a depth, with what it needs and costs.

    Attributes:
        depth: Final stages that train.
        rate: Learning rate of these stages; None where no stage trains.
        expected: Accuracy on new images; None where only a run tells it.
    """

    strategy: str
    depth: int
    rate: float | None
    epochs: int | None
    price: Price
    expected: Expected | None

    @property
    def name(self) -> str:
        """Short and unique, such as `blend_3`."""
        return f"{self.strategy}_{self.depth}" if self.depth else self.strategy

    @property
    def overrides(self) -> list[str]:
        """The overrides on a run's command line."""
        if not self.depth:
            return [f"strategy={self.strategy}"]
        rates = [f"optim.lr={HEAD_LR:g}", f"optim.backbone_lr={self.rate:g}", f"trainer.max_epochs={self.epochs}"]
        return [f"strategy={self.strategy}", f"strategy.unfreeze_depth={self.depth}", *rates]


@dataclass(frozen=True)
class Recommendation:
    """The choice, and the others.

    Attributes:
        cell: Cell of the guidelines' matrix, such as `small_different`; `medium_...` lies between its two sizes.
        similarity: 1 like the source, 0 like noise; None if the distance is not known.
        best: The last choice within the budget: each is the one before and something more.
        choices: All, in the order of their cost.
    """

    cell: str
    similarity: float | None
    best: Choice
    choices: list[Choice]


def depths_to_train(profile: DepthProfile) -> list[int]:
    """Final stages from the one with the best probe on; before that, where images differ, a quarter of the stages more.

    Of several stages one stays frozen.
    """
    num_stages = len(profile.stage_names)
    similar = profile.distances is not None and is_similar(profile.distances.overall.value)
    depths = (num_stages - profile.peak + more for more in (0 if similar else num_stages // _DEEPER, 0))
    return list(dict.fromkeys(min(depth, max(1, num_stages - 1)) for depth in depths))


def deepest_within(
    fits: Callable[[Price], bool], depths: list[int], price_of: Callable[[int], Price]
) -> tuple[int, Price]:
    """The first of `depths`, deepest first, whose price fits, else the last; with its price."""
    for depth in depths:
        price = price_of(depth)
        if fits(price):
            break
    return depth, price


def epochs_of(num_train: int) -> int:
    per_epoch = max(1, num_train // BATCH_SIZE)
    enough = max(_LEAST_EPOCHS, min(_EPOCHS, round(_STEPS_ENOUGH / per_epoch)))
    return max(enough, math.ceil(_LEAST_STEPS / per_epoch))


def rate_of(distance: float | None) -> float:
    """Learning rate of the stages that train: a low one for images similar to the source."""
    return _LOW_RATE if is_similar(distance) else USUAL_RATE


def recommend(
    profile: DepthProfile, *, num_train: int, depth: int, solved: Price, blended: Price, budget: BudgetSettings
) -> Recommendation:
    """The stacked probe, or within the budget its blend.

    Args:
        num_train: Distinct training images of the whole target.
        depth: Final stages that the blend trains.
        solved, blended: Prices of the two.
    """
    distance = profile.distances.overall.value if profile.distances else None
    stack = Choice("stacked_probe", 0, None, None, solved, profile.expected)
    blend = Choice("blend", depth, rate_of(distance), epochs_of(num_train), blended, None)
    similarity = None if distance is None else min(max(1 - distance, 0.0), 1.0)
    best = blend if allows(budget, blended) else stack
    return Recommendation(cell_of(num_train, distance), similarity, best, [stack, blend])


def allows(budget: BudgetSettings, price: Price) -> bool:
    """Whether a run of this price may be recommended."""
    in_time = budget.minutes is None or price.seconds <= 60 * budget.minutes
    return in_time and (budget.memory_gb is None or price.memory_bytes <= 1e9 * budget.memory_gb)
