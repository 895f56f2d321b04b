"""The learning rate over a run, as a factor on every group's own rate."""

import math

from thawline.errors import UserError

SCHEDULES = ("cosine", "constant")


def lr_factor(step: int, *, schedule: str, total_steps: int, warmup_fraction: float) -> float:
    """Factor in [0, 1] on the learning rate at optimizer step `step`, counted from 0.

    The factor rises linearly over the first `warmup_fraction` of the steps, then stays at 1 (`constant`) or falls to
    0 along half a cosine (`cosine`; Loshchilov and Hutter 2017, "SGDR").
    """
    warmup = round(warmup_fraction * total_steps)
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        progress = (step - warmup) / max(1, total_steps - warmup)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    raise UserError(f"optim.schedule={schedule}: allowed are {', '.join(SCHEDULES)}")
