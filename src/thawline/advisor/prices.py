"""The price of a run on this machine, from a pass over images and one training step."""

from thawline.advisor.choices import BATCH_SIZE, Price, epochs_of
from thawline.advisor.look import Look
from thawline.advisor.step_cost import StepCost

_VALIDATION = 1 / 3  # of a training step's time: forward without backward
_EPOCH_S = 0.2  # seconds; checkpoints and logs. Measured: 128 epochs of 31 images took 52 s, their steps alone 26 s


def solved_price(look: Look, *, num_images: int, resident: int) -> Price:
    """Of a stacked probe: every image passes once, and solving takes as long an image as it took here.

    Args:
        num_images: To train and to validate.
        resident: Bytes that a run holds besides: on a GPU the model, on a CPU libraries and the list of images too.
    """
    share = num_images / (len(look.sample.train) + len(look.sample.held_out))
    return Price(num_images * look.image_s + share * look.solve_s, resident)


def blended_price(solved: Price, cost: StepCost, *, num_train: int, num_val: int) -> Price:
    """Of a blend: what the stack costs, and the training steps."""
    per_epoch = cost.image_s * (num_train + _VALIDATION * num_val) + _EPOCH_S
    memory = solved.memory_bytes + cost.memory_bytes(min(BATCH_SIZE, num_train))
    return Price(solved.seconds + epochs_of(num_train) * per_epoch, memory)
