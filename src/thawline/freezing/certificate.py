"""The freeze certificate: the epochs in which each stage trained, and checksums that can be recomputed from files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thawline.atomic import write_atomically
from thawline.errors import UserError
from thawline.freezing.bound_plan import ADAPTERS, BoundPlan
from thawline.freezing.plan import HEAD
from thawline.invocation import typed
from thawline.models.digests import Digests, combined
from thawline.strict_json import read_json

CERTIFICATE_SCHEMA = 1
CERTIFICATE_FILE = "freeze.json"
_ABOUT = (
    "Which stages of the backbone trained in which epochs (spans, from 0), and SHA-256 checksums of their weights and "
    "buffers before training, after it (last.ckpt), and as tested (best.ckpt)."
)


def certificate(
    bound: BoundPlan, *, before: Digests, after: Digests, tested: Digests, num_epochs: int
) -> dict[str, Any]:
    """For each stage the epochs in which it trained, and its checksums before and after.

    Args:
        before, after, tested: Checksums of the tensors of the pretrained model, of last.ckpt and of best.ckpt, by
            qualified name. Tensors that are not in the checkpoints (constants that the model makes) are left out.
        num_epochs: Epochs of the run.
    Returns:
        A JSON object; `frozen` counts the tensors that no phase trains, `unchanged` says whether all of them are
        bitwise the same.
    """
    never, stage_of = bound.never_training(), bound.stage_of()
    stages = []
    for name in dict.fromkeys(stage_of.values()):
        held = [tensor for tensor, stage in stage_of.items() if stage == name and tensor in after]
        frozen = [tensor for tensor in held if tensor in never]
        if not held:
            continue
        stages.append(
            {
                "name": name,
                "epochs": epochs_trained(bound, name, num_epochs),
                "tensors": len(held),
                "frozen": len(frozen),
                "before": combined({tensor: before[tensor] for tensor in held}),
                "after": combined({tensor: after[tensor] for tensor in held}),
                "tested": combined({tensor: tested[tensor] for tensor in held}),
                "unchanged": all(before[tensor] == after[tensor] == tested[tensor] for tensor in frozen),
            }
        )
    plan = {"phases": bound.plan.as_list(), "parameters": bound.plan.parameters, "batchnorm": bound.plan.batchnorm}
    about = f"{_ABOUT} Recompute: {typed('verify_freeze')} RUN"
    return {"schema": CERTIFICATE_SCHEMA, "about": about, "plan": plan, "epochs": num_epochs, "stages": stages}


def epochs_in(last: Mapping[str, Any], best: Mapping[str, Any]) -> int:
    """Number of epochs that the weights of two checkpoints, last.ckpt and best.ckpt, come from.

    Where the training diverged, last.ckpt is of the start of its epoch, and best.ckpt may be of the middle.
    """
    return int(last["epoch"]) + int(best["global_step"] > last["global_step"])


def epochs_trained(bound: BoundPlan, stage: str, num_epochs: int) -> list[list[int]]:
    """Spans [first, last] of epochs, counted from 0, in which `stage`, `head` or `ADAPTERS` trained.

    A stage whose adapters train does not train itself.
    """
    spans: list[list[int]] = []
    for epoch in range(num_epochs):
        if stage in _training(bound, epoch):
            if spans and spans[-1][1] == epoch - 1:
                spans[-1][1] = epoch
            else:
                spans.append([epoch, epoch])
    return spans


def _training(bound: BoundPlan, epoch: int) -> set[str]:
    phase = bound.plan.phase(epoch)
    head = {HEAD} if phase.head else set()
    if bound.plan.parameters == "lora":
        return head | ({ADAPTERS} if phase.stages else set())
    return head | {bound.plan.stage_names[index] for index in bound.training_stages(epoch)}


def write_certificate(folder: Path, body: Mapping[str, Any]) -> None:
    """Write `folder`/freeze.json; a reader sees the old file or the new one."""
    write_atomically(folder / CERTIFICATE_FILE, json.dumps(body, indent=2) + "\n")


def load_certificate(folder: Path) -> dict[str, Any]:
    """Read `folder`/freeze.json; raises `UserError` if it is missing, not JSON, or of another schema."""
    path = folder / CERTIFICATE_FILE
    if not path.is_file():
        reason = "only a completed run with strategy.guard=true has one" if folder.is_dir() else "no such folder"
        raise UserError(f"{folder}: holds no freeze certificate ({CERTIFICATE_FILE}): {reason}")
    try:
        body = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no freeze certificate can be read ({error})") from error
    if not isinstance(body, dict) or body.get("schema") != CERTIFICATE_SCHEMA:
        raise UserError(f"{path}: not a freeze certificate of schema {CERTIFICATE_SCHEMA}")
    return body
