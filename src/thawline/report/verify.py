"""Recompute a freeze certificate from the pretrained weights and the checkpoints alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from thawline.errors import UserError
from thawline.models.backbone import build_backbone
from thawline.models.checkpoint import load_checkpoint
from thawline.models.digests import Digests, checksum, combined, digests
from thawline.models.freezing import BoundPlan, bind
from thawline.report.certificate import epochs_trained, load_certificate
from thawline.settings import StrategySettings

CHECKPOINTS = ("last.ckpt", "best.ckpt")


@dataclass(frozen=True)
class StageCheck:
    """What was found of one stage; `problems` is empty where the certificate holds."""

    name: str
    epochs: list[list[int]]
    tensors: int
    frozen: int
    problems: list[str]


def verify(folder: Path) -> list[StageCheck]:
    """Build the pretrained model anew and compare it and the checkpoints in `folder` with the certificate.

    Checked per stage: the checksum before training against the pretrained weights; the checksum after training
    against last.ckpt; the epochs against the plan; and that every tensor which the plan never trains is bitwise the
    pretrained one, in last.ckpt and in best.ckpt.

    Raises:
        UserError: A file is missing or cannot be read, or the pretrained weights are others than the run's.
    """
    body = load_certificate(folder)
    states = {name: load_checkpoint(folder / "checkpoints" / name)["state_dict"] for name in CHECKPOINTS}
    bound = _pretrained(body, folder)
    before, after = digests(bound.tensors()), {name: digests(state) for name, state in states.items()}
    return [_check_stage(entry, bound, before, after, body["epochs"]) for entry in body["stages"]]


def _pretrained(body: dict[str, Any], folder: Path) -> BoundPlan:
    model, plan = body["model"], body["plan"]
    torch.manual_seed(body["seed"])  # random weights are drawn again as they were
    backbone = build_backbone(model["name"], weights=model["weights"], image_size=model["image_size"])
    if checksum(backbone.model.state_dict()) != model["weights_sha256"]:
        raise UserError(
            f"{folder}: {model['name']} with {model['weights']} weights is not what the run started from; "
            "the source of the weights, or the library that makes the model, has changed"
        )
    strategy = StrategySettings(
        "verify", phases=plan["phases"], parameters=plan["parameters"], batchnorm=plan["batchnorm"]
    )
    return bind(strategy, backbone, nn.Identity())


def _check_stage(
    entry: dict[str, Any], bound: BoundPlan, before: Digests, after: dict[str, Digests], num_epochs: int
) -> StageCheck:
    name, last = entry["name"], after["last.ckpt"]
    held = [tensor for tensor, stage in bound.stage_of().items() if stage == name and tensor in last]
    if name == "head":  # a new layer: nothing pretrained to compare with
        held = [tensor for tensor in last if tensor.startswith("head.")]
    frozen = [tensor for tensor in held if tensor in bound.never_training()]
    problems = []
    if name != "head" and combined({tensor: before[tensor] for tensor in held}) != entry["before"]:
        problems.append("the pretrained weights differ from the certificate")
    if combined({tensor: last[tensor] for tensor in held}) != entry["after"]:
        problems.append("last.ckpt differs from the certificate")
    if epochs_trained(bound, name, num_epochs) != entry["epochs"]:
        problems.append("the plan trains it in other epochs")
    for checkpoint, found in after.items():
        moved = [tensor for tensor in frozen if found.get(tensor) != before[tensor]]
        problems += [f"{tensor} is frozen, but differs in {checkpoint}" for tensor in moved]
    return StageCheck(name, entry["epochs"], len(held), len(frozen), problems)
