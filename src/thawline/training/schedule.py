"""The learning rate over a run, as a factor on every group's own rate."""

import math
from collections.abc import Sequence

from thawline.errors import UserError
from thawline.settings.optim_settings import SCHEDULES

# One-cycle starts at 1/25 of the highest rate and ends at 1/25 of 1e-4 of it: the defaults of torch's OneCycleLR.
_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_END = _ONE_CYCLE_START * 1e-4


def lr_factor(step: int, *, schedule: str, total_steps: int, warmup_fraction: float) -> float:
    """Factor in [0, 1] on the learning rate at optimizer step `step`, counted from 0.

    `constant` and `cosine` rise linearly over the first `warmup_fraction` of the steps, then stay at 1 or fall to 0
    along half a cosine (Loshchilov and Hutter 2017, "SGDR"). `one_cycle` rises along half a cosine over the same
    share of the steps and falls along another (Smith and Topin 2018, "Super-Convergence"; as torch's OneCycleLR).
    `plateau` is 1 here: its reductions come from the validation loss.
    """
    warmup = round(warmup_fraction * total_steps)
    if schedule == "plateau":
        return 1.0
    if schedule == "one_cycle":
        return _one_cycle(step, total_steps, warmup_fraction)
    if schedule not in SCHEDULES:
        raise UserError(f"optim.schedule={schedule}: allowed are {', '.join(SCHEDULES)}")
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    return _half_cosine(1.0, 0.0, (step - warmup) / max(1, total_steps - warmup))


def _one_cycle(step: int, total_steps: int, rise: float) -> float:
    top, last = rise * total_steps - 1, total_steps - 1
    if step <= top:
        return _half_cosine(_ONE_CYCLE_START, 1.0, step / top if top > 0 else 1.0)
    return _half_cosine(1.0, _ONE_CYCLE_END, (step - top) / max(1.0, last - top))


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def position(step: int, *, total_steps: int, starts: Sequence[int]) -> tuple[int, int]:
    """(step within its segment, length of the segment): a schedule that restarts runs once in every segment.

    Args:
        starts: Steps after 0 at which a segment starts, rising; one at or after `total_steps` does not count.
    """
    edges = [0, *(start for start in starts if start < total_steps), total_steps]
    begin = max(edge for edge in edges[:-1] if edge <= step)
    return step - begin, edges[edges.index(begin) + 1] - begin
