"""Settle on validation data which weights are tested."""

import lightning as L
import torch
from torch import Tensor

from thawline.callbacks.best_and_last import MONITOR, BestCheckpoint, LastCheckpoint
from thawline.machine.processes import is_main
from thawline.models.load_checkpoint import load_checkpoint
from thawline.runs.parts import Parts
from thawline.training.regularize import interpolate

_TUNED = "tuned_state_dict"  # in best.ckpt, beside the mixture with the pretrained weights that it holds


def choose(
    trainer: L.Trainer, parts: Parts, *, best: BestCheckpoint, last: LastCheckpoint, pretrained: dict[str, Tensor]
) -> tuple[float, float | None]:
    """Make best.ckpt hold the weights that are tested: an epoch's, and where asked for, mixed with pretrained ones.

    Args:
        pretrained: Tensors before the fit, by qualified name; empty where nothing is mixed.
    Returns:
        (validation accuracy of those weights, share of the tuned ones in the mixture or None).
    """
    if best.validated_step < trainer.global_step:
        parts.model.load_state_dict(load_checkpoint(last.path)["state_dict"])
        score = _validate(trainer, parts)
        if is_main():
            best.consider(last.path, score)
    trainer.strategy.barrier()
    assert best.best_model_score is not None or not is_main()
    score = float(best.best_model_score) if best.best_model_score is not None else 0.0
    if not pretrained:
        return score, None
    shares = parts.settings.regularize.wise_ft_shares
    share, score = _interpolate_best(trainer, parts, best=best, pretrained=pretrained, shares=shares)
    return score, share


def _interpolate_best(
    trainer: L.Trainer, parts: Parts, *, best: BestCheckpoint, pretrained: dict[str, Tensor], shares: list[float]
) -> tuple[float, float]:
    """Replace the best checkpoint's weights by the interpolation that validates best; (its share, its accuracy)."""
    body = load_checkpoint(best.best)
    tuned = body.get(_TUNED, body["state_dict"])  # a resumed run may have got this far before
    backbone = {name: tensor for name, tensor in pretrained.items() if name.startswith("backbone.") and name in tuned}
    scores = {}
    for share in shares:
        parts.model.load_state_dict(tuned | interpolate(backbone, tuned, share=share))
        scores[share] = _validate(trainer, parts)
    share = max(shares, key=lambda s: (scores[s], s))  # of equals the one nearest to what was trained
    body |= {"state_dict": tuned | interpolate(backbone, tuned, share=share), _TUNED: tuned}
    if is_main():
        part = best.best.with_suffix(".wise")
        torch.save(body, part)
        best.replace_best(part, scores[share])
        part.unlink()
    trainer.strategy.barrier()
    return share, scores[share]


def _validate(trainer: L.Trainer, parts: Parts) -> float:
    (scores,) = trainer.validate(parts.model, datamodule=parts.data, verbose=False)
    return float(scores[MONITOR])
