"""scripts/evidence/defaults.py: which weights a rule takes, how options are compared, and what is left to do."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from default_settings import pool
from default_settings.grid import TASKS, Fit, jobs
from default_settings.rule_comparison import RULES, complete, decided, difference, unit_means
from default_settings.task_images import name_of
from judge.tasks import TASKS as JUDGED

FIT = {
    "val_accuracy": [0.5, 0.8, 0.8, 0.7],
    "val_loss": [1.0, 0.6, 0.5, 0.4],
    "test_accuracy": [0.1, 0.2, 0.3, 0.4],
    "test_loss": [4.0, 3.0, 2.0, 1.0],
}


def _fit(task: str = "a", seed: int = 0, views: str = "none") -> dict[str, Any]:
    return {"task": task, "backbone": "b", "seed": seed, "depth": 0, "views": views, **FIT}


def test_each_rule_takes_the_epoch_that_it_names() -> None:
    assert [rule(FIT) for rule in RULES.values()] == [3, 3, 2, 1]


def test_seeds_are_averaged_before_units_are_compared() -> None:
    fits = [_fit("a", 0), {**_fit("a", 1), "test_accuracy": [0, 0, 0, 0.6]}, _fit("c")]
    assert unit_means(fits, "last weights") == {("a", "b"): pytest.approx(0.5), ("c", "b"): pytest.approx(0.4)}


def test_interval_of_paired_differences_is_students() -> None:
    ours, theirs = {("a", "b"): 0.3, ("c", "b"): 0.5}, {("a", "b"): 0.2, ("c", "b"): 0.2}
    compared = difference(ours, theirs)
    assert compared.mean == pytest.approx(0.2)
    assert compared.half_width == pytest.approx(12.7062 * math.sqrt(0.02) / math.sqrt(2), rel=1e-4)  # t of 1 degree
    assert (compared.above, compared.below, compared.is_settled) == (2, 0, False)


def test_cheapest_option_that_is_level_with_the_best_is_decided_for() -> None:
    best = {(str(n), "b"): 0.80 + n / 100 for n in range(6)}
    level = {unit: value + (0.01 if int(unit[0]) % 2 else -0.02) for unit, value in best.items()}
    worse = {unit: value - 0.1 - int(unit[0]) / 1000 for unit, value in best.items()}
    assert decided({"worse": worse, "level": level, "best": best}) == "level"
    assert decided({"worse": worse, "best": best}) == "best"


def test_seed_that_lacks_one_of_the_views_is_left_out() -> None:
    fits = [_fit(seed=0), _fit(seed=0, views="fresh"), _fit(seed=1)]
    assert {fit["seed"] for fit in complete(fits, ("none", "fresh"))} == {0}


def test_what_is_done_is_not_done_again_and_what_failed_is(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    for number, fit in enumerate(jobs(("digits_100",), ("b",), (0,), (0, 3, "all"), done=set())[0].fits):
        result = {"task": fit.task, "backbone": fit.backbone, "seed": 0, "depth": fit.depth, "views": fit.views}
        pool.append(path, result | ({"error": "x"} if number == 0 else FIT))
    with path.open("a") as file:
        file.write(json.dumps(FIT)[:20])  # cut off
    suffixes, whole = jobs(("digits_100",), ("b",), (0,), (0, 3, "all"), done=pool.done(pool.read(path)))
    assert suffixes.fits == (Fit("digits_100", "b", 0, 0, "none"),)
    assert {fit.depth for fit in whole.fits} == {"all"}


def test_tasks_are_those_of_the_regret_table() -> None:
    assert set(TASKS) == set(JUDGED)
    assert {name_of(task) for task in ("digits_100", "digits_800", "photo_crops_edges")} == {
        "digits",
        "photo_crops_edges",
    }
