"""Schedules of fastai, and the formulas that its documentation gives for them."""

from math import cos, pi
from typing import Any

import numpy as np
from fastai.callback.all import ParamScheduler, ReduceLROnPlateau  # type: ignore[import-not-found]
from peer import HEAD_RATE, PLATEAU_FACTOR, Schedule
from tiny import NUM_BLOCKS

BODY_TO_HEAD = 10  # `slice(lr)`: every group but the last gets a tenth


def schedule_callbacks(schedule: Schedule | None) -> list[Any]:
    """Callbacks for the schedules that have no `fit_...` of their own."""
    if schedule == "lambda":
        bases = np.array([HEAD_RATE / BODY_TO_HEAD] * NUM_BLOCKS + [HEAD_RATE])
        return [ParamScheduler({"lr": lambda done: bases / (1 + done)})]
    if schedule == "plateau":  # no loss is better by this much: the rates fall after every epoch but the first
        return [ReduceLROnPlateau(patience=0, factor=1 / PLATEAU_FACTOR, min_delta=1e9)]
    return []


def factor(schedule: Schedule, done: float, *, epoch: int) -> float:
    """The formulas of the documentation: `done` is the share of the fit's steps, `epoch` the fit's."""
    if schedule == "OneCycle":
        return _cosine(1 / 25, 1, done / 0.25) if done < 0.25 else _cosine(1, 1e-5, (done - 0.25) / 0.75)
    if schedule == "cosine":
        return 1 if done < 0.75 else _cosine(1, 1e-5, (done - 0.75) / 0.25)
    if schedule == "lambda":
        return 1 / (1 + done)
    return float(PLATEAU_FACTOR ** max(epoch - 1, 0))


def _cosine(start: float, end: float, done: float) -> float:
    return start + (1 - cos(pi * done)) * (end - start) / 2
