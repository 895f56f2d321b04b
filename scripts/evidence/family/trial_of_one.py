"""One model of a timm family: cut it, compare the parts with the whole, train one step at two depths.

`python -m family.trial_of_one MODEL` prints one JSON object. `families.py` starts it in a process of its own.
"""

import json
import sys
from dataclasses import asdict, dataclass

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from thawline.errors import UserError
from thawline.models.backbone import Backbone
from thawline.training.classifier import TransferClassifier

WORKS, REFUSED, FAILS = "works", "refused", "fails"
_BATCH = 2  # images of the step
_CLASSES = 2
_TOLERANCE = 1e-4  # of the features' norm; whole and parts run the same modules, in an order that fx may change


@dataclass
class Outcome:
    """What came of one model; `line` says why where it does not work."""

    outcome: str
    stages: int = 0
    parameters: int = 0
    line: str = ""


def attempt(name: str) -> Outcome:
    """Cut and train one model with random weights, at its size."""
    torch.manual_seed(0)
    try:
        backbone = Backbone(name, weights="none").eval()
        outcome = Outcome(WORKS, backbone.num_stages, sum(p.numel() for p in backbone.model.parameters()))
        outcome.line = _parts_differ(backbone) or _trained_wrong(backbone)
        if outcome.line:
            outcome.outcome = FAILS
        return outcome
    except UserError as error:
        return Outcome(REFUSED, line=str(error))
    except Exception as error:  # whatever a model raises is the finding
        return Outcome(FAILS, line=f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0]}")


@torch.no_grad()
def _parts_differ(backbone: Backbone) -> str:
    """Why prefix and suffix are not the whole at some cut; empty if they are."""
    images = torch.randn(_BATCH, 3, backbone.input.size, backbone.input.size)
    whole, x = backbone.model(images.to(memory_format=torch.channels_last)), images
    for cut, stage in enumerate(backbone.stages, start=1):
        x = stage.forward(backbone.model, x)
        if cut in (backbone.num_stages // 2, backbone.num_stages) and not _near(backbone.suffix(x, cut), whole):
            return f"prefix and suffix differ from the whole at cut {cut}"
    return ""


def _near(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).norm() <= _TOLERANCE * b.norm())


def _trained_wrong(backbone: Backbone) -> str:
    """Why a step of training at depth 1 or at half of the stages did what it should not; empty if it did not."""
    for depth in dict.fromkeys((1, max(1, backbone.num_stages // 2))):
        model = TransferClassifier(backbone, num_classes=_CLASSES, unfreeze_depth=depth, optim={"name": "adamw"})
        # The head starts at zero, and a step later the stages below get no gradient through it.
        torch.nn.init.normal_(model.head.weight, std=0.01)  # type: ignore[arg-type]
        before = {name: tensor.clone() for name, tensor in model.bound.tensors().items()}
        _one_step(model, backbone.input.size)
        moved = {n for n, t in model.bound.tensors().items() if not torch.equal(t.cpu(), before[n])}
        frozen = model.bound.never_training()
        if wrong := sorted(moved & frozen):
            return f"at depth {depth} {wrong[0]} is frozen, but moved"
        if not any(name.startswith("backbone.") for name in moved):
            return f"at depth {depth} nothing of the backbone moved"
    return ""


def _one_step(model: TransferClassifier, size: int) -> None:
    images = torch.randint(0, 256, (_BATCH, 3, size, size), dtype=torch.uint8)
    loader: DataLoader[tuple[Tensor, int]] = DataLoader(
        [(image, i % _CLASSES) for i, image in enumerate(images)],  # type: ignore[arg-type]
        batch_size=_BATCH,
    )
    L.Trainer(max_epochs=1, accelerator="cpu", barebones=True).fit(model, loader)


if __name__ == "__main__":
    print(json.dumps(asdict(attempt(sys.argv[1]))))
