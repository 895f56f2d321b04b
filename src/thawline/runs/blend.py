"""Put a stack of the pretrained stages beside fine-tuned ones, and work out what to expect of the average."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from thawline.callbacks.best_and_last import Scores
from thawline.deploy.calibration import Judged
from thawline.features.expected import Expected
from thawline.features.feature_store import StoredArray
from thawline.features.guess_scores import guess_scores
from thawline.features.stack import Stack
from thawline.features.temperature import fit_temperature
from thawline.machine.collectives import computed_by_first, only_first, rows_of_all
from thawline.machine.number_formats import autocast
from thawline.runs.parts import Parts
from thawline.runs.stack_features import store_for_stack, stored_stack_rows
from thawline.training.beside import StackBeside
from thawline.training.blend_gain import blend_expected
from thawline.training.refit import refit
from thawline.training.stack_solver import StackRows, load_stack


@dataclass(frozen=True)
class Blended:
    """Scores on the validation images, of a blend that knows the training images only; and what to expect."""

    scores: Scores
    expected: Expected
    judged: Judged


@dataclass(frozen=True)
class _Solved:
    """Rows of both splits, and the stack of the training images alone."""

    train: StackRows
    val: StackRows
    alone: Stack


def blend(parts: Parts, trained: dict[str, Tensor], *, save: Callable[[Blended], None]) -> Blended | None:
    """Set `parts.model.beside`. In the end its stack is that of training and validation images.

    Of several processes each answers to its validation images; the first solves, and it alone ends with the blend.

    Args:
        trained: Weights of the model as it was fine-tuned.
        save: Called in the first process, before the others go on.
    Returns:
        None in the other processes.
    """
    model, beside, device = parts.model, parts.beside, parts.compute.device
    assert beside is not None
    model.beside = None  # a resumed run may have got this far before
    model.load_state_dict({name: tensor for name, tensor in trained.items() if not name.startswith("beside.")})
    arrays = store_for_stack(parts)
    solved = only_first(lambda: _solved(parts, arrays))
    beside.head.load_state_dict(computed_by_first(beside.head.state_dict))
    model.beside = beside.to(device)
    parts.data.read_images()
    answers = _answers(parts)

    def ended() -> Blended:
        assert solved is not None, "in the first process alone"
        blended = _blended(beside, solved, *answers)
        beside.to(device)
        save(blended)
        return blended

    return only_first(ended)


def _solved(parts: Parts, arrays: list[list[StoredArray]]) -> _Solved:
    """Its stack is that of `parts.beside` now."""
    assert parts.beside is not None
    train, val = stored_stack_rows(parts, arrays)
    alone = train.solved()
    load_stack(parts.beside.head, alone)
    return _Solved(train, val, alone)


def _blended(beside: StackBeside, solved: _Solved, logits: Tensor, of_stack: Tensor, labels: Tensor) -> Blended:
    """From the answers of `_answers`; `beside` gets the temperature and the stack of all images, on the CPU."""
    train, val, alone = solved.train, solved.val, solved.alone
    factor, _ = fit_temperature(logits.double().log_softmax(1), labels, val.targets.weights, start=1.0)
    beside.temperature.fill_(factor)
    averaged = beside.cpu().average(logits, of_stack)
    stack, expected, _ = refit(train, val, left_out=alone.accuracy, validated=val.accuracy_of(alone))
    load_stack(beside.head, stack)
    right, of_stack_right = averaged.argmax(1) == labels, of_stack.argmax(1) == labels
    judged = Judged(averaged, labels, by="validation")
    return Blended(_scores(averaged, labels), blend_expected(expected, right, of_stack_right), judged)


def _scores(logs: Tensor, labels: Tensor) -> Scores:
    """Of log-probabilities (V, K)."""
    scores = guess_scores(logs.argmax(1), labels, num_classes=logs.shape[1])
    return Scores(loss=float(F.nll_loss(logs, labels)), **vars(scores))


@torch.no_grad()
def _answers(parts: Parts) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (V, K) of the fine-tuned model and of the stack for the validation images, and the classes (V,)."""
    model, device = parts.model.to(parts.compute.device).eval(), parts.compute.device
    assert model.beside is not None
    cut, batches = model.bound.first_training, []
    for images, labels in parts.data.val_dataloader():
        with autocast(parts.compute.precision.training, device):
            rows, of_stack = model.beside(images.to(device), cut=cut)
            logits = model.logits(rows, start=cut)
        batches.append((logits.float().cpu(), of_stack.float().cpu(), labels))
    logits, of_stack, labels = (rows_of_all(torch.cat(column)) for column in zip(*batches, strict=True))
    return logits, of_stack, labels
