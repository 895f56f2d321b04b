"""Settle on validation data which weights are tested."""

import logging
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from torch import Tensor

from thawline.callbacks.best_and_last import BestCheckpoint, Scores
from thawline.callbacks.checkpoint_files import save_whole
from thawline.deploy.calibration import Judged
from thawline.features.expected import Expected
from thawline.features.left_out_answers import LeftOutAnswers
from thawline.machine.collectives import only_first
from thawline.machine.processes import is_main
from thawline.models.load_checkpoint import load_checkpoint
from thawline.models.stacked_head import StackedHead
from thawline.runs.blend import Blended, blend
from thawline.runs.parts import Parts
from thawline.runs.watchers import Watchers
from thawline.settings.select_setting import VAL_LOSS, rule_of
from thawline.settings.tested_weights_setting import RULE_LAST, RULE_REFIT, resolve_tested_weights
from thawline.training.refit import refit
from thawline.training.stack_solver import StackSolver, load_stack
from thawline.training.wise_ft import interpolate

_log = logging.getLogger(__name__)
_LEAST = 1e-30  # of a probability whose logarithm is taken
_TUNED = "tuned_state_dict"  # in best.ckpt, beside the mixture with the pretrained weights that it holds


@dataclass(frozen=True)
class Tested:
    """The weights that are tested, which best.ckpt holds.

    Attributes:
        scores: On the validation images.
        rule, why: Which weights they are: `last`, `refit`, or the score by which they are best; and the reason.
        share: Of the tuned weights in a mixture with the pretrained ones; None where nothing was mixed.
        expected: Accuracy to expect on new images; None where it is not known.
        judged: Answers to images that the weights have not seen; None where those are the validation images.
        left_out: Of a stack, the same image by image.
    """

    scores: Scores
    rule: str
    why: str
    share: float | None = None
    expected: Expected | None = None
    judged: Judged | None = None
    left_out: LeftOutAnswers | None = None


def choose(
    trainer: L.Trainer, parts: Parts, watch: Watchers, *, pretrained: dict[str, Tensor], diverged: bool = False
) -> Tested:
    """Make best.ckpt hold the weights that are tested.

    Args:
        pretrained: Tensors before the fit, by qualified name; empty where nothing is mixed.
        diverged: Whether the training did; then those that were the best before it are tested.
    """
    best = watch.best
    rule, why, scores = _best_before(parts, best) if diverged else _by_rule(trainer, parts, watch)
    if rule == RULE_REFIT:
        (solver,) = trainer.optimizers
        assert isinstance(solver, StackSolver), type(solver)
        refitted = only_first(lambda: _refitted(parts, best, scores, left_out=solver.left_out_accuracy))
        return refitted or Tested(scores, rule, why)
    if parts.beside is not None:
        body = load_checkpoint(best.best)

        def save(blended: Blended) -> None:
            _replace_weights(best, body | {"state_dict": parts.model.state_dict()}, blended.scores)

        if (blended := blend(parts, body["state_dict"], save=save)) is None:
            return Tested(scores, rule, why)
        return Tested(blended.scores, rule, why, expected=blended.expected, judged=blended.judged)
    if not pretrained:
        return Tested(scores, rule, why)
    share, scores = _interpolate_best(trainer, parts, best=best, pretrained=pretrained)
    return Tested(scores, rule, why, share)


def _best_before(parts: Parts, best: BestCheckpoint) -> tuple[str, str, Scores]:
    assert best.best_scores is not None, "there are best weights"
    return rule_of(parts.settings.selected), "the best before the training diverged", best.best_scores


def _by_rule(trainer: L.Trainer, parts: Parts, watch: Watchers) -> tuple[str, str, Scores]:
    """Let best.ckpt hold what the settings choose: the rule, why it holds, and how the weights validate."""
    best, last = watch.best, watch.last
    end = _scores_at_the_end(trainer, parts, watch)
    settings = parts.settings
    rule, why = resolve_tested_weights(
        settings.tested_weights,
        optim=settings.optim,
        complete=trainer.global_step >= parts.steps.total,
        select=settings.select,
        imbalance=settings.imbalance,
    )
    if is_main():
        best.replace_best(last.path, end) if rule == RULE_LAST else best.consider(last.path, end)
    trainer.strategy.barrier()
    return rule, why, end if rule == RULE_LAST or best.best_scores is None else best.best_scores


def _refitted(parts: Parts, best: BestCheckpoint, scores: Scores, *, left_out: float | None) -> Tested:
    """Solve for the stacked head once more, and put it into the best checkpoint."""
    head = parts.model.head
    assert isinstance(head, StackedHead), type(head)
    body = load_checkpoint(best.best)
    parts.model.load_state_dict(body["state_dict"])
    stack, expected, why = refit(
        parts.stack_rows("train"), parts.stack_rows("val"), left_out=left_out, validated=scores.accuracy
    )
    if left_out is not None and expected.by == "validation":
        _log.warning(
            "Note: %.3f of the training images are classified right when they are left out, and %.3f of the validation "
            "images. Training images may have near-copies among each other (data.group_by keeps them together), or "
            "validation images are of another kind. So the validation images alone judge.",
            *(left_out, scores.accuracy),
        )
    load_stack(head, stack)
    _replace_weights(best, body | {"state_dict": parts.model.state_dict()}, scores)
    judged = Judged(stack.probabilities.clamp(min=_LEAST).log(), stack.labels, by=expected.by)
    answers = _image_by_image(parts, judged)
    return Tested(scores, RULE_REFIT, why, expected=expected, judged=judged, left_out=answers)


def _image_by_image(parts: Parts, judged: Judged) -> LeftOutAnswers:
    """Those of training and validation images, or of the latter alone."""
    of_train = [] if judged.by == "validation" else [parts.left_out_images("train")]
    images = torch.cat([*of_train, parts.left_out_images("val")])
    groups = torch.from_numpy(parts.data.source.groups)[images]
    return LeftOutAnswers.of(judged.log_probabilities, judged.labels, images=images, groups=groups)


def _replace_weights(best: BestCheckpoint, body: dict[str, Any], scores: Scores) -> None:
    save_whole(body, best.best)
    best.note_best(scores)


def _scores_at_the_end(trainer: L.Trainer, parts: Parts, watch: Watchers) -> Scores:
    """Of last.ckpt; it is validated where the training ended between two validations."""
    if watch.best.validated_step == trainer.global_step and watch.best.latest is not None:
        return watch.best.latest
    parts.model.load_state_dict(load_checkpoint(watch.last.path)["state_dict"])
    return _validate(trainer, parts)


def _interpolate_best(
    trainer: L.Trainer, parts: Parts, *, best: BestCheckpoint, pretrained: dict[str, Tensor]
) -> tuple[float, Scores]:
    """Replace the best checkpoint's weights by the interpolation that validates best; its share and its scores."""
    body = load_checkpoint(best.best)
    tuned = body.get(_TUNED, body["state_dict"])  # a resumed run may have got this far before
    backbone = {name: tensor for name, tensor in pretrained.items() if name.startswith("backbone.") and name in tuned}
    shares, scores = parts.settings.regularize.wise_ft_shares, dict[float, Scores]()
    for share in shares:
        parts.model.load_state_dict(tuned | interpolate(backbone, tuned, share=share))
        scores[share] = _validate(trainer, parts)
    by = parts.settings.selected
    worth = {share: -of.loss if by == VAL_LOSS else of.metrics[by] for share, of in scores.items()}
    share = max(shares, key=lambda s: (worth[s], s))  # of equals the one nearest to what was trained
    body |= {"state_dict": tuned | interpolate(backbone, tuned, share=share), _TUNED: tuned}
    if is_main():
        _replace_weights(best, body, scores[share])
    trainer.strategy.barrier()
    return share, scores[share]


def _validate(trainer: L.Trainer, parts: Parts) -> Scores:
    (scores,) = trainer.validate(parts.model, datamodule=parts.data, verbose=False)
    return Scores.of(scores)
