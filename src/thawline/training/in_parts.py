"""A training step in as many parts as the memory needs, whose gradients add up to those of the whole batch.

The loss of B images is the mean of theirs, so its gradient is the sum over parts of (images of the part / B) times the
gradient of the part's mean. What sees several images at once does not add up: a BatchNorm in train mode normalises each
part by the part's statistics, and dropout draws other numbers.
"""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from thawline.machine.device_memory import is_lack_of_memory

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
Scale = Callable[[Tensor], Tensor]  # what the trainer does to a loss before its backward pass
Gradients = dict[Tensor, Tensor]  # of parameters


class Outcome(NamedTuple):
    """Of a part or of a batch: logits (B, K); mean cross-entropy (); the loss that is trained, (), with penalties."""

    logits: Tensor
    cross_entropy: Tensor
    loss: Tensor


Forward = Callable[[slice], Outcome]


class StepInParts:
    """Computes the steps of a training; halves the images that are computed together where the memory ends.

    Args:
        parameters: Those that may train.
        caveat: Says at a moment what parts change in the result, or nothing.
    Attributes:
        limit: Largest number of images that are computed together; None until memory ran out.
    """

    def __init__(self, parameters: Sequence[Tensor], *, caveat: Callable[[], str] = str) -> None:
        self._parameters, self._caveat = parameters, caveat
        self.limit: int | None = None
        self._graph: Tensor | None = None  # loss of the batch under way, while its graph is held
        self._shown: Tensor | None = None  # the same number, which the trainer gets
        self._gradients: Gradients = {}  # of the batch under way, where it was computed in parts
        self._again: Callable[[], Outcome] | None = None

    def step(self, forward: Forward, num_images: int, *, scale: Scale) -> Outcome:
        """The outcome of a batch; its gradients come with `backward`, which must follow.

        Args:
            forward: Computes a part of the batch.
        Raises:
            torch.OutOfMemoryError: The memory does not hold a single image.
        """
        state = _random_state()
        self._num_images, self._again = num_images, lambda: self._in_parts(forward, scale, state)
        self._graph, self._gradients = None, {}
        if self.limit is None or self.limit >= num_images:
            whole = _unless_memory_ends(lambda: forward(slice(0, num_images)))
            if whole is not None:
                # The trainer gets no graph: if the backward pass fails, nobody else holds what has to be freed.
                self._graph, self._shown = whole.loss, whole.loss.detach().requires_grad_()
                return Outcome(whole.logits.detach(), whole.cross_entropy.detach(), self._shown)
            self._halve()
        return self._again()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of the batch to those that are there; `loss` is what the trainer made of that of `step`."""
        if self._graph is not None and not self._whole(loss):
            assert self._again is not None, "a step comes before"
            self._halve()
            self._again()
        _add(self._gradients)
        self._gradients, self._again = {}, None

    def _whole(self, loss: Tensor) -> bool:
        """Whether the memory holds the backward pass of the whole batch; its gradients are kept then."""
        assert self._graph is not None, "a step comes before"
        (factor,) = torch.autograd.grad(loss, self._shown)  # type: ignore[arg-type]
        held, graph, self._graph = self._set_aside(), self._graph, None
        done = _unless_memory_ends(lambda: _back(graph, factor))
        made = self._set_aside()
        self._gradients = made if done else {}
        _add(held)
        return bool(done)

    def _in_parts(self, forward: Forward, scale: Scale, state: list[Tensor]) -> Outcome:
        while True:
            _restore(state)
            held = self._set_aside()
            outcome = _unless_memory_ends(lambda: self._summed(forward, scale))
            made = self._set_aside()
            _add(held)
            if outcome is not None:
                self._gradients = made
                return outcome
            self._halve()

    def _summed(self, forward: Forward, scale: Scale) -> Outcome:
        """The parts one after the other; gradients are added up in the parameters."""
        assert self.limit is not None, "memory ended before"
        logits: list[Tensor] = []
        sums = [torch.zeros((), device=self._parameters[0].device) for _ in range(2)]
        for start in range(0, self._num_images, self.limit):
            part = slice(start, min(start + self.limit, self._num_images))
            share = (part.stop - part.start) / self._num_images
            outcome = forward(part)
            torch.autograd.backward(scale(outcome.loss * share))
            logits.append(outcome.logits.detach())
            sums = [total + share * one.detach() for total, one in zip(sums, outcome[1:], strict=True)]
        return Outcome(torch.cat(logits), sums[0], sums[1].requires_grad_())

    def _halve(self) -> None:
        size = min(self.limit or self._num_images, self._num_images)
        if size == 1:
            raise torch.OutOfMemoryError("out of memory with one image")
        self.limit = -(-size // 2)
        _log.warning(
            "Note: the memory of %s does not hold a training step of %d images; going on with %d at a time, whose "
            "gradients are added up%s.",
            *(self._parameters[0].device, size, self.limit, self._caveat()),
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _set_aside(self) -> Gradients:
        held = {parameter: parameter.grad for parameter in self._parameters if parameter.grad is not None}
        for parameter in held:
            parameter.grad = None
        return held


def scaled_as_the_trainer(loss: Tensor, trainer: L.Trainer) -> Tensor:
    """What Lightning does to a loss before its backward pass: a share of the accumulated one, times fp16's scale."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    share = loss / trainer.accumulate_grad_batches
    return share if scaler is None else scaler.scale(share)


def batchnorm_caveat(module: nn.Module) -> str:
    """For `StepInParts`: what changes where a BatchNorm trains at the moment."""
    trains = any(isinstance(one, _BatchNorm) and one.training for one in module.modules())
    return (
        "; BatchNorm takes its statistics from each part, so the result differs from that of the whole batch" * trains
    )


def _back(graph: Tensor, factor: Tensor) -> bool:
    torch.autograd.backward(graph, factor)
    return True


def _add(gradients: Gradients) -> None:
    for parameter, gradient in gradients.items():
        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


def _unless_memory_ends(run: Callable[[], _T]) -> _T | None:
    """The result; None where memory ended. The error is gone then: its traceback would hold what filled the memory."""
    try:
        return run()
    except RuntimeError as error:
        if not is_lack_of_memory(error):
            raise
    return None


def _random_state() -> list[Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_available() else [])]


def _restore(state: list[Tensor]) -> None:
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state(state[1])
