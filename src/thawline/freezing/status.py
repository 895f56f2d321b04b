"""Count the parameters that train at the moment: a row per stage, and the line `Trainable: ...`."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from thawline.models.backbone import Backbone


@dataclass(frozen=True)
class StageStatus:
    """A stage or the head, with its counts of parameters."""

    name: str
    num_params: int
    num_trainable: int
    mode: str  # "train" or "frozen"


def status(backbone: Backbone, head: nn.Module) -> list[StageStatus]:
    """One row per stage from the images up, then `unused` for parameters that no stage reads, then the head."""
    rows = []
    for index, stage in enumerate(backbone.stages):
        mode = "train" if index in backbone.training_stages else "frozen"
        rows.append(_row(stage.name, backbone.stage_parameters(index).values(), mode))
    in_stages = {name for stage in backbone.stages for name in stage.parameters}
    unused = [p for name, p in backbone.model.named_parameters() if name not in in_stages]
    if unused:
        rows.append(_row("unused", unused, "frozen"))
    head_trains = any(p.requires_grad for p in head.parameters())
    return [*rows, _row("head", head.parameters(), "train" if head_trains else "frozen")]


def _row(name: str, parameters: Iterable[nn.Parameter], mode: str) -> StageStatus:
    parameters = list(parameters)
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    return StageStatus(name, sum(p.numel() for p in parameters), trainable, mode)


def trainable_line(model: nn.Module) -> str:
    """The number of the model's parameters that train at the moment; a shared parameter counts once.

    >>> model = nn.Sequential(nn.Linear(3, 4).requires_grad_(False), nn.Linear(4, 2))
    >>> trainable_line(model)
    'Trainable: 10 / 26 (38.46%)'
    """
    parameters = list(model.parameters())
    return counted_line(sum(p.numel() for p in parameters if p.requires_grad), sum(p.numel() for p in parameters))


def counted_line(trainable: int, total: int) -> str:
    """The diagnostic line, such as `Trainable: 5,130 / 11,181,642 (0.05%)`."""
    return f"Trainable: {trainable:,} / {total:,} ({trainable / max(1, total):.2%})"
