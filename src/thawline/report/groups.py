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


def group_runs(sets: Sequence[Sequence[Run]]) -> list[list[RunGroup]]:
    """The groups of each set, in the order of their first runs; of runs with the same seed the last one counts.

    A configuration has the same name in every set: a setting that tells groups of one set apart is named in all.
    """
    parts = [_together(runs) for runs in sets]
    keys = list(dict.fromkeys(key for part in parts for key in _telling_apart([settings for settings, _ in part])))
    return [
        [RunGroup(_name(settings, keys), settings, [by_seed[s] for s in sorted(by_seed)]) for settings, by_seed in part]
        for part in parts
    ]


def _together(runs: Sequence[Run]) -> list[tuple[dict[str, Any], dict[int, Run]]]:
    """The settings of each group, and its run of every seed."""
    together: dict[str, dict[int, Run]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for run in runs:
        run_settings = settings_of(run)
        key = json.dumps(run_settings, sort_keys=True, default=str)
        settings[key] = run_settings
        together.setdefault(key, {})[run.record.seed] = run
    return [(settings[key], by_seed) for key, by_seed in together.items()]


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


def _telling_apart(settings: Sequence[dict[str, Any]]) -> list[str]:
    """Few settings that differ: each one separates groups that the others do not."""
    others = sorted({key for group in settings for key in group} - set(_FIRST))
    keys: list[str] = []
    for key in (*_FIRST, *others):
        if _num_distinct(settings, [*keys, key]) > _num_distinct(settings, keys):
            keys.append(key)
    return keys


def _name(settings: dict[str, Any], keys: Sequence[str]) -> str:
    return " ".join(f"{_short(key)}={settings.get(key)}" for key in keys) or str(settings["scenario"])


def _num_distinct(settings: Sequence[dict[str, Any]], keys: Sequence[str]) -> int:
    return len({tuple(str(group.get(key)) for key in keys) for group in settings})


def _short(key: str) -> str:
    """`strategy.unfreeze_depth` -> `unfreeze_depth`, `strategy.name` -> `strategy`."""
    return key.removesuffix(".name").rpartition(".")[2]
