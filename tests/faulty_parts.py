"""Parts as users write them, that fail; for tests of what a run says then."""

import os
import random
import time
from typing import Any

import lightning as L
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from thawline.data.sources.folder import FolderSource


class RaisingCallback(L.Callback):
    """Raises in one of Lightning's hooks."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, self._fail)

    def _fail(self, *_: Any) -> None:
        raise KeyError("a defect of the callback")


class RaisingHead(nn.Linear):
    """Its forward does not fit what it gets."""

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__(num_features + 1, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features)


class RaisingSource(FolderSource):
    """Fails at one image."""

    def load(self, index: int) -> Image.Image:
        if index == 5:
            raise RuntimeError("image 5 is not to be had")
        return super().load(index)


class StuckCallback(L.Callback):
    """Waits at the start of the training, as for a server that does not answer, in many short calls."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_start(self, *_: Any) -> None:
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            self._poll()

    def _poll(self) -> None:
        time.sleep(0.02)


class SlowSource(FolderSource):
    """Every image takes `seconds`."""

    def __init__(self, seconds: float, **folder: Any) -> None:
        super().__init__(**folder)
        self.seconds = seconds

    def load(self, index: int) -> Image.Image:
        time.sleep(self.seconds)
        return super().load(index)


class StrangeState(L.Callback):
    """Its state is what `what` says."""

    def __init__(self, what: str) -> None:
        self.what = what

    def state_dict(self) -> dict[str, Any]:
        states = {
            "plain": {"steps": 3, "best": torch.zeros(2), "names": ["a", ("b", None)]},
            "function": {"cuts": [1, {"how": len}]},
            "module": {"net": nn.Linear(1, 1)},
        }
        return states[self.what]


class Poison(L.Callback):
    """Sets the head's bias to `value` before a step, counted from 1."""

    def __init__(self, step: int, value: float) -> None:
        self.step, self.value = step, value

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step + 1 == self.step:
            with torch.no_grad():
                pl_module.head.bias[0] = self.value


class Meddler(L.Callback):
    """Prints, seeds, and changes the current folder and the environment, in every step."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        print("meddling")
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)
        os.chdir(self.folder)
