"""Recompute a freeze certificate from the pretrained weights and the checkpoints alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from thawline.errors import UserError, strange_values_refused
from thawline.freezing.bound_plan import ADAPTERS, BoundPlan, bind
from thawline.freezing.certificate import CERTIFICATE_FILE, certificate, epochs_in, epochs_trained, load_certificate
from thawline.freezing.plan import HEAD
from thawline.models.adapted_names import ADAPTER, plain_names
from thawline.models.backbone import build_backbone
from thawline.models.digests import Digests, checksum, combined, digests
from thawline.models.load_checkpoint import load_checkpoint
from thawline.settings.checks import between
from thawline.settings.model_settings import IMAGE_SIZES
from thawline.settings.strategy_settings import StrategySettings

CHECKPOINTS = ("last.ckpt", "best.ckpt")
_STACK = "beside."  # of a blend's stack in best.ckpt: a head, and a copy of the pretrained stages that never train
_NOT_CHECKED = ("before", "frozen", "unchanged")  # of the head and of adapters, whose first weights are not known here


@dataclass(frozen=True)
class StageCheck:
    """Result for one stage; `problems` is empty if the certificate is right."""

    name: str
    epochs: list[list[int]]
    tensors: int
    frozen: int
    problems: list[str]


def verify(folder: Path) -> list[StageCheck]:
    """Make the certificate anew from the pretrained model and the checkpoints; compare it with the one in `folder`.

    Every stage must have the same epochs, counts and checksums. Every tensor that the plan never trains must be bitwise
    the pretrained one in last.ckpt and in best.ckpt. The head and adapters have no pretrained weights, so only their
    epochs and their checksums in the two checkpoints are compared.

    Raises:
        UserError: A file is missing, incomplete or cannot be read, or the pretrained weights differ from the run's.
    """
    body = load_certificate(folder)
    checkpoints = {name: load_checkpoint(folder / "checkpoints" / name) for name in CHECKPOINTS}
    with strange_values_refused(folder / CERTIFICATE_FILE):
        bound, claimed = _described(body, folder)
    num_epochs = epochs_in(checkpoints["last.ckpt"], checkpoints["best.ckpt"])
    before = digests(bound.tensors())
    after = {name: digests(_without_stack(body["state_dict"])) for name, body in checkpoints.items()}
    last, best = after["last.ckpt"], after["best.ckpt"]
    if last.keys() != best.keys():
        raise UserError(f"{folder}: last.ckpt and best.ckpt hold different tensors")
    made = certificate(bound, before=before, after=last, tested=best, num_epochs=num_epochs)
    expected = {entry["name"]: entry for entry in made["stages"]}
    for part, held in _new_parts(last).items():
        unknown = {key: claimed.get(part, {}).get(key) for key in _NOT_CHECKED}
        expected[part] = _new_part(bound, part, held, (last, best), num_epochs) | unknown
    moved = _moved(bound, before, after)
    for name, sentences in _moved_in_stack(bound, before, checkpoints["best.ckpt"]["state_dict"]).items():
        moved.setdefault(name, []).extend(sentences)
    names = dict.fromkeys([*expected, *claimed])
    return [_check(name, expected.get(name), claimed.get(name), moved.get(name, [])) for name in names]


def _described(body: dict[str, Any], folder: Path) -> tuple[BoundPlan, dict[str, dict[str, Any]]]:
    """The pretrained model with its plan, and what the certificate says of each stage."""
    try:
        return _pretrained(body, folder), {str(entry["name"]): dict(entry) for entry in body["stages"]}
    except (KeyError, TypeError) as error:
        raise UserError(f"{folder / CERTIFICATE_FILE}: an incomplete certificate ({error})") from error


def _pretrained(body: dict[str, Any], folder: Path) -> BoundPlan:
    model, plan = body["model"], body["plan"]
    torch.manual_seed(body["seed"])  # repeats random initial weights
    if model["image_size"] is not None:  # of some models the memory grows with it
        between("model.image_size", model["image_size"], *IMAGE_SIZES)
    backbone = build_backbone(model["name"], weights=model["weights"], image_size=model["image_size"])
    if checksum(backbone.model.state_dict()) != model["weights_sha256"]:
        raise UserError(
            f"{folder}: {model['name']} with {model['weights']} weights is not what the run started from; "
            "the source of the weights, or the library that makes the model, has changed"
        )
    strategy = StrategySettings(
        "verify", phases=plan["phases"], parameters=plan["parameters"], batchnorm=plan["batchnorm"]
    )
    placeholder = nn.Linear(1, 1)  # the plan needs a head, but the run's head is not known here
    return bind(strategy, backbone, placeholder)


def _new_parts(last: Digests) -> dict[str, list[str]]:
    """The parts that are not of the pretrained model -> their tensors."""
    adapters = [tensor for tensor in last if ADAPTER in tensor]
    head = [tensor for tensor in last if tensor.startswith(f"{HEAD}.")]
    return {**({ADAPTERS: adapters} if adapters else {}), HEAD: head}


def _new_part(
    bound: BoundPlan, part: str, held: list[str], checkpoints: tuple[Digests, Digests], num_epochs: int
) -> dict[str, Any]:
    last, best = checkpoints
    return {
        "name": part,
        "epochs": epochs_trained(bound, part, num_epochs),
        "tensors": len(held),
        "after": combined({tensor: last[tensor] for tensor in held}),
        "tested": combined({tensor: best[tensor] for tensor in held}),
    }


def _moved(bound: BoundPlan, before: Digests, after: dict[str, Digests]) -> dict[str, list[str]]:
    """Stage -> a sentence for each tensor that the plan never trains but that differs from the pretrained model."""
    owners, problems = bound.stage_of(), dict[str, list[str]]()
    for checkpoint, checksums in after.items():
        for tensor in sorted(bound.never_training()):
            if tensor in checksums and checksums[tensor] != before[tensor]:
                problems.setdefault(owners[tensor], []).append(f"{tensor} is frozen, but differs in {checkpoint}")
    return problems


def _without_stack(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in plain_names(state).items() if not name.startswith(_STACK)}


def _moved_in_stack(bound: BoundPlan, before: Digests, state: dict[str, torch.Tensor]) -> dict[str, list[str]]:
    """Stage -> a sentence for each tensor of a blend's pretrained copy that differs from the pretrained model."""
    owners, problems = bound.stage_of(), dict[str, list[str]]()
    copied = {name.removeprefix(_STACK): t for name, t in state.items() if name.startswith(f"{_STACK}backbone.")}
    for tensor, now in digests(copied).items():
        if now != before[tensor]:
            sentence = f"{_STACK}{tensor} is frozen, but differs in best.ckpt"
            problems.setdefault(owners[tensor], []).append(sentence)
    return problems


def _check(name: str, expected: dict[str, Any] | None, claimed: dict[str, Any] | None, moved: list[str]) -> StageCheck:
    shown = expected or claimed or {}
    problems = list(moved)
    if expected is None or claimed is None:
        problems.append(f"{name}: not in the certificate" if claimed is None else f"{name}: not in the model")
    else:
        source = {"before": "the pretrained weights", "after": "last.ckpt", "tested": "best.ckpt", "epochs": "the plan"}
        wrong = [key for key in expected if expected[key] != claimed.get(key)]
        problems += [f"{name}: {source.get(key, key)} differs from the certificate" for key in wrong]
    return StageCheck(name, shown.get("epochs", []), shown.get("tensors", 0), shown.get("frozen", 0), problems)
