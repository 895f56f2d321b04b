"""Runs that differ in nothing but the seed are one group; its name says what sets it apart from the others."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from thawline.report.collect import Run

# What a name is made of first, as far as it tells groups apart.
_FIRST = (
    "scenario", "data.name", "model.name", "strategy.name", "strategy.unfreeze_depth", "optim.name", "optim.lr",
    "optim.backbone_lr", "regularize.name",
)  # fmt: skip


@dataclass(frozen=True)
class RunGroup:
    """Runs of one configuration.

    Attributes:
        name: Such as `strategy=partial_fine_tune unfreeze_depth=2`.
        settings: Dotted key -> value, without the seed.
    """

    name: str
    settings: dict[str, Any]
    runs: list[Run]

    @property
    def seeds(self) -> list[int]:
        return [run.record.seed for run in self.runs]


def group_runs(runs: Sequence[Run]) -> list[RunGroup]:
    """In the order in which their first runs come; of runs with the same seed, the later one counts."""
    together: dict[str, dict[int, Run]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for run in runs:
        own = settings_of(run)
        key = json.dumps(own, sort_keys=True, default=str)
        settings[key] = own
        together.setdefault(key, {})[run.record.seed] = run
    names = _names(list(settings.values()))
    return [
        RunGroup(name, settings[key], [by_seed[seed] for seed in sorted(by_seed)])
        for name, (key, by_seed) in zip(names, together.items(), strict=True)
    ]


def settings_of(run: Run) -> dict[str, Any]:
    """Everything that the run was made with but its seed; of a record without settings, what its sections say."""
    record = run.record
    own = {
        "scenario": record.scenario,
        "data.name": record.data.name,
        "data.fingerprint": record.data.fingerprint,
        "model.name": record.model.name,
        "model.weights": record.model.weights,
        "strategy.name": record.strategy.name,
        "strategy.unfreeze_depth": record.strategy.unfreeze_depth,
    }
    return {**own, **record.settings}


def _names(settings: Sequence[dict[str, Any]]) -> list[str]:
    """The fewest settings that tell the groups apart."""
    others = sorted({key for own in settings for key in own} - set(_FIRST))
    chosen: list[str] = []
    for key in (*_FIRST, *others):
        if _num_distinct(settings, [*chosen, key]) > _num_distinct(settings, chosen):
            chosen.append(key)
    return [" ".join(f"{_short(key)}={own.get(key)}" for key in chosen) or str(own["scenario"]) for own in settings]


def _num_distinct(settings: Sequence[dict[str, Any]], keys: Sequence[str]) -> int:
    return len({tuple(str(own.get(key)) for key in keys) for own in settings})


def _short(key: str) -> str:
    """`strategy.unfreeze_depth` -> `unfreeze_depth`, `strategy.name` -> `strategy`."""
    return key.removesuffix(".name").rpartition(".")[2]
