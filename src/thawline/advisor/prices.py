"""The price of a run of every option on this machine, from one training step of each."""

from collections.abc import Mapping

from torch import Tensor

from thawline.advisor.options import BATCH_SIZE, OPTIONS, epochs_of
from thawline.advisor.recommend import Price
from thawline.advisor.step_cost import StepCost, step_cost
from thawline.machine.precision import Precision
from thawline.models.backbone import Backbone

_VALIDATION = 1 / 3  # of a training step's time: forward without backward
_EPOCH_S = 0.2  # seconds; checkpoints and logs. Measured: 128 epochs of 31 images took 52 s, their steps alone 26 s
_SOLVE_S = 3.0  # seconds; chosen: a path of penalties over 1,000 rows took 0.4 and 1.7 s


def step_costs(
    backbone: Backbone, images: Tensor, *, num_classes: int, precision: Precision, max_bytes: float
) -> dict[str, StepCost]:
    """Step costs of the options that fit the backbone and are not solved, by name; arguments as for `step_cost`."""
    return {
        option.name: step_cost(
            backbone, option, images, num_classes=num_classes, precision=precision, max_bytes=max_bytes
        )
        for option in OPTIONS
        if option.fits(backbone.num_stages) and not option.solved
    }


def prices_of_runs(
    costs: Mapping[str, StepCost], *, num_stages: int, num_train: int, num_val: int, image_s: float, resident: int
) -> dict[str, Price]:
    """Prices of the options that fit a backbone of so many stages, by name.

    Args:
        costs: Step costs of the options that are not solved.
        num_train, num_val: Images of the whole target.
        image_s: Seconds per image from the source through the backbone.
        resident: Bytes that the process holds before a run: libraries, the model, the list of images.
    """
    once = (num_train + num_val) * image_s
    prices = {}
    for option in (option for option in OPTIONS if option.fits(num_stages)):
        epochs = epochs_of(option, num_train)
        if epochs is None:
            prices[option.name] = Price(once + _SOLVE_S, resident)
            continue
        cost = costs[option.name]
        per_epoch = cost.image_s * (num_train + _VALIDATION * num_val) + _EPOCH_S
        memory = resident + cost.memory_bytes(min(BATCH_SIZE, num_train))
        prices[option.name] = Price(once + epochs * per_epoch, memory)
    return prices
