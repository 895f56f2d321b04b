"""Settle on validation data which weights are tested."""

from dataclasses import dataclass

import lightning as L
from torch import Tensor

from thawline.callbacks.best_and_last import BestCheckpoint, Scores
from thawline.callbacks.checkpoint_files import save_whole
from thawline.machine.processes import is_main
from thawline.models.load_checkpoint import load_checkpoint
from thawline.runs.parts import Parts
from thawline.runs.watchers import Watchers
from thawline.settings.tested_weights_setting import RULE_LAST, resolve_tested_weights
from thawline.training.wise_ft import interpolate

_TUNED = "tuned_state_dict"  # in best.ckpt, beside the mixture with the pretrained weights that it holds


@dataclass(frozen=True)
class Tested:
    """The weights that are tested, which best.ckpt holds.

    Attributes:
        accuracy: On the validation images.
        rule, why: Which weights they are: `last`, `val_accuracy` or `val_loss`; and the reason.
        share: Of the tuned weights in a mixture with the pretrained ones; None where nothing was mixed.
    """

    accuracy: float
    rule: str
    why: str
    share: float | None = None


def choose(trainer: L.Trainer, parts: Parts, watch: Watchers, *, pretrained: dict[str, Tensor]) -> Tested:
    """Make best.ckpt hold the weights that are tested.

    Args:
        pretrained: Tensors before the fit, by qualified name; empty where nothing is mixed.
    """
    best, last = watch.best, watch.last
    end = _scores_at_the_end(trainer, parts, watch)
    optim = parts.settings.optim
    rule, why = resolve_tested_weights(
        parts.settings.tested_weights,
        schedule=optim.schedule,
        solved=optim.epochs is not None,
        complete=trainer.global_step >= parts.steps.total,
    )
    if is_main():
        best.replace_best(last.path, end) if rule == RULE_LAST else best.consider(last.path, end)
    trainer.strategy.barrier()
    scores = end if rule == RULE_LAST or best.best_scores is None else best.best_scores
    if not pretrained:
        return Tested(scores.accuracy, rule, why)
    share, accuracy = _interpolate_best(trainer, parts, best=best, pretrained=pretrained)
    return Tested(accuracy, rule, why, share)


def _scores_at_the_end(trainer: L.Trainer, parts: Parts, watch: Watchers) -> Scores:
    """Of last.ckpt; it is validated where the training ended between two validations."""
    if watch.best.validated_step == trainer.global_step and watch.best.latest is not None:
        return watch.best.latest
    parts.model.load_state_dict(load_checkpoint(watch.last.path)["state_dict"])
    return _validate(trainer, parts)


def _interpolate_best(
    trainer: L.Trainer, parts: Parts, *, best: BestCheckpoint, pretrained: dict[str, Tensor]
) -> tuple[float, float]:
    """Replace the best checkpoint's weights by the interpolation that validates best; (its share, its accuracy)."""
    body = load_checkpoint(best.best)
    tuned = body.get(_TUNED, body["state_dict"])  # a resumed run may have got this far before
    backbone = {name: tensor for name, tensor in pretrained.items() if name.startswith("backbone.") and name in tuned}
    shares, scores = parts.settings.regularize.wise_ft_shares, dict[float, Scores]()
    for share in shares:
        parts.model.load_state_dict(tuned | interpolate(backbone, tuned, share=share))
        scores[share] = _validate(trainer, parts)
    share = max(shares, key=lambda s: (scores[s].accuracy, s))  # of equals the one nearest to what was trained
    body |= {"state_dict": tuned | interpolate(backbone, tuned, share=share), _TUNED: tuned}
    if is_main():
        save_whole(body, best.best)
        best.note_best(scores[share])
    trainer.strategy.barrier()
    return share, scores[share].accuracy


def _validate(trainer: L.Trainer, parts: Parts) -> Scores:
    (scores,) = trainer.validate(parts.model, datamodule=parts.data, verbose=False)
    return Scores.of(scores)
