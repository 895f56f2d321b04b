"""Apple's GPU has no float64: no step on the device makes any."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from thawline.settings.regularize_settings import RegularizeSettings
from thawline.training.classifier import TransferClassifier

Fit = Callable[..., Any]
STEPS = ("training_step", "validation_step", "test_step", "on_test_epoch_end")


class NoFloat64(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in tree_leaves(made):
            if isinstance(one, torch.Tensor) and one.dtype == torch.float64 and one.ndim:
                raise TypeError(f"{func}: Cannot convert a MPS Tensor to float64 dtype")
        return made


def test_the_mode_sees_float64() -> None:
    with NoFloat64(), pytest.raises(TypeError, match="float64"):
        torch.ones(2).double()


def test_training_and_test_do_without(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    called = set()

    def watched(name: str) -> Callable[..., Any]:
        step = getattr(TransferClassifier, name)

        def inside(*args: Any) -> Any:
            called.add(name)
            with NoFloat64():
                return step(*args)

        return inside

    for name in STEPS:
        monkeypatch.setattr(TransferClassifier, name, watched(name))
    fitted = fit(epochs=1, regularize=RegularizeSettings(l2_sp=0.1, label_smoothing=0.1))
    fitted.trainer.test(fitted.model, datamodule=fitted.data, verbose=False)
    assert called == set(STEPS)
