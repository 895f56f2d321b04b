"""Where the memory ends, a training step is halved; gradients are those of the whole batch, by hand and in a run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thawline.settings.trainer_settings import TrainerSettings
from thawline.training.in_parts import Outcome, StepInParts, batchnorm_caveat

ROWS, LABELS = (
    torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.0], [2.0, 2.0], [-1.0, 1.0]]),
    torch.tensor([0, 1, 1, 0, 1]),
)


class Memory:
    """Holds the forward pass of `forward` images and the backward pass of `backward`; counts what was too much."""

    def __init__(self, *, forward: int, backward: int) -> None:
        self.forward, self.backward, self.ends = forward, backward, 0

    def enter(self, limit: int, num: int) -> None:
        if num > limit:
            self.ends += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


class Held(torch.autograd.Function):
    """The identity; its backward pass needs memory."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, memory: Memory) -> Tensor:
        memory.enter(memory.forward, len(rows))
        ctx.memory = memory
        return rows.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        ctx.memory.enter(ctx.memory.backward, len(gradient))
        return gradient, None


def gradient_of(memory: Memory | None, *, before: Tensor | None = None) -> tuple[Tensor, Outcome, StepInParts]:
    """Gradient of a linear layer's weight for the five rows, added to `before`."""
    torch.manual_seed(0)
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.grad = before

    def forward(part: slice) -> Outcome:
        logits = layer(ROWS[part]) if memory is None else Held.apply(layer(ROWS[part]), memory)
        loss = F.cross_entropy(logits, LABELS[part])
        return Outcome(logits, loss, loss)

    steps = StepInParts([layer.weight])
    outcome = steps.step(forward, len(ROWS), scale=lambda loss: loss / 2)
    steps.backward(outcome.loss / 2)  # as with trainer.accumulate_grad_batches=2
    assert layer.weight.grad is not None
    return layer.weight.grad, outcome, steps


@pytest.mark.parametrize("before", [None, torch.ones(2, 2)], ids=["first", "accumulated"])
@pytest.mark.parametrize(("forward", "backward"), [(3, 9), (9, 3), (9, 1), (2, 1)])
def test_gradients_and_loss_of_parts_are_those_of_the_whole(forward: int, backward: int, before: Tensor | None) -> None:
    memory = Memory(forward=forward, backward=backward)
    whole, expected, _ = gradient_of(None, before=None if before is None else before.clone())
    summed, outcome, steps = gradient_of(memory, before=None if before is None else before.clone())
    torch.testing.assert_close(summed, whole)
    torch.testing.assert_close(outcome.logits, expected.logits)
    torch.testing.assert_close(outcome.loss.detach(), expected.loss.detach())
    assert memory.ends > 0
    assert steps.limit == {1: 1, 2: 1, 3: 3}[min(forward, backward)]


def test_without_lack_of_memory_nothing_changes_by_a_bit() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(2, 2, bias=False)
    (F.cross_entropy(layer(ROWS), LABELS) / 2).backward()
    assert torch.equal(gradient_of(None)[0], layer.weight.grad)


def test_one_image_that_does_not_fit_and_other_errors_are_not_hidden() -> None:
    with pytest.raises(torch.OutOfMemoryError, match="out of memory with one image"):
        gradient_of(Memory(forward=0, backward=0))
    steps = StepInParts([torch.zeros(1)])
    with pytest.raises(RuntimeError, match="shapes"):
        steps.step(lambda part: (_ for _ in ()).throw(RuntimeError("shapes")), 4, scale=lambda loss: loss)
    assert steps.limit is None


def test_batchnorm_that_trains_is_told(caplog: pytest.LogCaptureFixture) -> None:
    net = nn.Sequential(nn.BatchNorm1d(2))
    assert "statistics from each part" in batchnorm_caveat(net)
    assert batchnorm_caveat(net.eval()) == batchnorm_caveat(nn.Linear(1, 1)) == ""


class SmallMemory(L.Callback):
    """The training's backward pass holds four images."""

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        plain = pl_module.classify
        memory = Memory(forward=99, backward=4)
        pl_module.classify = lambda rows: Held.apply(plain(rows), memory)


RUN = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.num_workers=0", "data.batch_size=8")
RUN += ("trainer.accelerator=cpu", "trainer.max_epochs=1", "strategy=full_fine_tune", "data=folder")
MINE = "+callbacks.mine._target_=training.test_in_parts.SmallMemory"


def record_of(tmp_path: Path) -> dict[str, Any]:
    (path,) = (tmp_path / "out").rglob("run.json")
    body: dict[str, Any] = json.loads(path.read_text())
    return body


@pytest.mark.slow
def test_a_run_goes_on_with_halves_and_says_so(
    run_cli: Callable[..., Any], tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    result = run_cli(*RUN, f"data.root={image_folder}", MINE)
    assert result.code == 0, result.err
    assert "does not hold a training step of 8 images; going on with 4 at a time" in result.out + result.err
    assert "BatchNorm takes its statistics from each part" in result.out + result.err
    assert record_of(tmp_path)["machine"]["step_images"] == 4
    (checkpoint,) = (tmp_path / "out").rglob("last.ckpt")
    assert torch.load(checkpoint, weights_only=True)["step_images"] == 4


@pytest.mark.slow
def test_on_oom_stop_ends_in_one_line(
    run_cli: Callable[..., Any], tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    result = run_cli(*RUN, f"data.root={image_folder}", MINE, "trainer.on_oom=stop")
    assert result.code == 2
    assert "data.batch_size=8, does not fit in this machine's memory" in result.err
    assert record_of(tmp_path)["status"] == "failed"


def test_allowed_values() -> None:
    from thawline.errors import UserError

    with pytest.raises(UserError, match=r"trainer.on_oom=shrink: allowed are halve, stop"):
        TrainerSettings(on_oom="shrink")
