"""The cost of a run as plain numbers, so that a reader of records need not import the measuring code."""

from dataclasses import dataclass


@dataclass
class Cost:
    """Cost of one run. FLOPs count a multiply-add as 2; bytes are bytes; seconds are wall-clock."""

    wall_s: float = 0.0  # whole run: the four below, and the last checks
    setup_s: float = 0.0  # model, data, status
    cache_s: float = 0.0  # computing the stored output of frozen stages
    fit_s: float = 0.0  # training and validation
    test_s: float = 0.0  # choosing the best weights, and testing them
    images_per_s: float = 0.0  # training images per second of training time, validation left out
    optimizer_state_bytes: int = 0
    saved_activation_bytes: int = 0  # kept for the backward pass of one training step
    peak_memory_bytes: int = 0  # of the device on a GPU, of the process on a CPU
    train_flops: int = 0  # forward and backward of all training steps; 0 where a solver takes them
    forward_flops: float = 0.0  # of one training image, in the last phase of the freeze plan; stored stages cost none
    backward_flops: float = 0.0  # of the same image
    energy_j: float | None = None  # joules of the whole run; None if the hardware does not count them
    price: float | None = None  # of `wall_s` at `cost.per_hour`
