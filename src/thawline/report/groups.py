"""Runs that differ only in the seed are one group. Its name holds the settings in which the groups differ."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from thawline.report.collect import Run

# Settings that come first in a name, if the groups differ in them.
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


def group_runs(runs: Sequence[Run]) -> list[RunGroup]:
    """The groups in the order of their first runs; of runs with the same seed the last one counts."""
    together: dict[str, dict[int, Run]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for run in runs:
        run_settings = settings_of(run)
        key = json.dumps(run_settings, sort_keys=True, default=str)
        settings[key] = run_settings
        together.setdefault(key, {})[run.record.seed] = run
    names = _names(list(settings.values()))
    return [
        RunGroup(name, settings[key], [by_seed[seed] for seed in sorted(by_seed)])
        for name, (key, by_seed) in zip(names, together.items(), strict=True)
    ]


def settings_of(run: Run) -> dict[str, Any]:
    """The run's settings without its seed; for a record without settings, those that its sections hold."""
    record = run.record
    sections = {
        "scenario": record.scenario,
        "data.name": record.data.name,
        "data.fingerprint": record.data.fingerprint,
        "model.name": record.model.name,
        "model.weights": record.model.weights,
        "strategy.name": record.strategy.name,
        "strategy.unfreeze_depth": record.strategy.unfreeze_depth,
    }
    return {**sections, **record.settings}


def _names(settings: Sequence[dict[str, Any]]) -> list[str]:
    """A name for each group from few settings that differ: each one used separates groups that the others do not."""
    others = sorted({key for group in settings for key in group} - set(_FIRST))
    keys: list[str] = []
    for key in (*_FIRST, *others):
        if _num_distinct(settings, [*keys, key]) > _num_distinct(settings, keys):
            keys.append(key)
    return [" ".join(f"{_short(key)}={group.get(key)}" for key in keys) or str(group["scenario"]) for group in settings]


def _num_distinct(settings: Sequence[dict[str, Any]], keys: Sequence[str]) -> int:
    return len({tuple(str(group.get(key)) for key in keys) for group in settings})


def _short(key: str) -> str:
    """`strategy.unfreeze_depth` -> `unfreeze_depth`, `strategy.name` -> `strategy`."""
    return key.removesuffix(".name").rpartition(".")[2]
