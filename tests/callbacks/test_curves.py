"""Curves and mistakes of a real fit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from thawline.callbacks.curves import CurvesCallback
from thawline.callbacks.mistakes import Mistake, MistakesCallback

Fit = Callable[..., Any]


def test_every_epoch_and_validation_is_noted(fit: Fit) -> None:
    curves = CurvesCallback()
    fitted = fit(curves, epochs=3)
    validated = {"val/loss", "val/accuracy", "val/balanced_accuracy", "val/macro_f1"}
    assert set(curves.curves) == {"train/loss", "train/accuracy", *validated}
    for tag, points in curves.curves.items():
        assert [step for step, _ in points] == [3, 6, 9], tag
    last = float(fitted.trainer.callback_metrics["val/loss"])
    assert curves.curves["val/loss"][-1][1] == pytest.approx(last)


def test_a_resumed_run_goes_on_with_its_curves() -> None:
    first, second = CurvesCallback(), CurvesCallback()
    first.curves = {"val/loss": [[3, 0.5]]}
    second.load_state_dict(first.state_dict())
    assert second.curves == {"val/loss": [[3, 0.5]]}


def test_a_loss_that_is_not_finite_is_none(fit: Fit) -> None:
    curves = CurvesCallback()
    fitted = fit(curves, epochs=1)
    fitted.trainer.callback_metrics["val/loss"] = torch.tensor(float("inf"))
    fitted.trainer.state.fn = "fit"
    curves.on_validation_end(fitted.trainer, fitted.model)
    assert curves.curves["val/loss"][-1][1] is None


def test_the_worst_mistakes_come_first() -> None:
    callback = MistakesCallback()
    logits = torch.tensor([[2.0, 0.0], [0.0, 3.0], [5.0, 0.0], [0.0, 1.0]])
    labels = torch.tensor([0, 0, 1, 0])
    for part in (slice(0, 3), slice(3, 4)):
        callback.on_test_batch_end(None, None, logits[part], (torch.empty(0), labels[part]), 0)  # type: ignore[arg-type]
    callback.on_test_end(None, None)  # type: ignore[arg-type]
    worst = callback.worst()
    assert [(m.position, m.truth, m.predicted) for m in worst] == [(2, 1, 0), (1, 0, 1), (3, 0, 1)]
    assert worst[0].confidence == pytest.approx(1 / (1 + torch.tensor(-5.0).exp().item()), abs=1e-6)
    assert worst[0].loss == pytest.approx(5.0067, abs=1e-3)
    assert callback.worst(1) == worst[:1]
    assert isinstance(worst[0], Mistake)
    answers, classes = callback.answers
    assert classes.tolist() == labels.tolist()
    assert callback.answers[0] is answers  # not a copy for everyone who asks


class LikeApples(torch.Tensor):
    """Has no float64, as tensors on Apple's GPU; `cpu` gives a plain tensor."""

    def cpu(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        return self.as_subclass(torch.Tensor)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = super().__torch_function__(func, types, args, kwargs or {})
        if isinstance(made, LikeApples) and made.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return made


def test_mistakes_need_no_float64_on_the_device() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 3.0]]).as_subclass(LikeApples)
    with pytest.raises(TypeError, match="float64"):
        logits.double()
    callback = MistakesCallback()
    batch = (torch.empty(0), torch.tensor([0, 0]).as_subclass(LikeApples))
    callback.on_test_batch_end(None, None, logits, batch, 0)  # type: ignore[arg-type]
    callback.on_test_end(None, None)  # type: ignore[arg-type]
    assert [m.position for m in callback.worst()] == [1]


def test_the_confusion_is_that_of_the_test(fit: Fit) -> None:
    callback = MistakesCallback()
    fitted = fit(callback, epochs=3)
    fitted.trainer.test(fitted.model, datamodule=fitted.data, verbose=False)
    counts = fitted.model.test_counting.compute()
    test = fitted.data.splits["test"]
    assert counts.sum(1).tolist() == torch.bincount(torch.from_numpy(fitted.data.source.labels[test])).tolist()
    assert counts.sum() - counts.diagonal().sum() == len(callback.worst(1000))
    fitted.trainer.test(fitted.model, datamodule=fitted.data, verbose=False)
    assert torch.equal(fitted.model.test_counting.compute(), counts)  # each test counts for itself
