"""The last screen holds what the record holds."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from thawline.freezing.status import StageStatus, counted_line
from thawline.freezing.status_table import plan_markdown, plan_table, status_markdown, status_table
from thawline.report.record_sections import FreezeSection
from thawline.report.run_record import RunRecord
from thawline.report.summary import next_steps, summary_panel

ROWS = [StageStatus("conv1", 9536, 0, "frozen"), StageStatus("head", 5130, 5130, "train")]


def text(renderable: RenderableType) -> str:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def record(**changes: object) -> RunRecord:
    return RunRecord(
        run_id="r", scenario="small_different", seed=0, status="completed",
        data={"name": "cells", "num_train": 1560, "num_val": 120, "num_test": 120, "num_classes": 4},
        model={"name": "resnet18", "weights": "none", "head": "linear", "num_stages": 5},
        strategy={"name": "feature_extraction", "unfreeze_depth": 0, "phases": [{"from_epoch": 0, "stages": ["head"]}],
                  "tested_weights": "last", "tested_why": "schedule cosine falls to zero"},
        params={"trainable": 5130, "total": 14_666},
        best_epoch=3,
        metrics={"val/accuracy": 0.75, "test/accuracy": 0.5, "test/balanced_accuracy": 0.25, "test/loss": 1.5},
        cost={"wall_s": 61.2, "fit_s": 59.0, "images_per_s": 80.0, "peak_memory_bytes": 2.5e9,
              "optimizer_state_bytes": 41_048, "saved_activation_bytes": 999, "train_flops": 3e12},
        cache={"used": True, "cut": 5, "views": 4, "bytes": 2_000_000, "seconds": 6.2},
        expected={"accuracy": 0.7312, "low": 0.71, "high": 0.75, "images": 680, "by": "leave-one-out"},
        freeze={"verified": True, "checks": 3, "frozen_stages": 5}, **changes,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    "says",
    [
        "Thawline: small_different",
        "feature_extraction, unfreeze_depth 0 of 5 stages",
        "cells: 1,560 train, 120 val, 120 test, 4 classes",
        "resnet18, random weights, linear head",
        "Trainable: 5,130 / 14,666 (34.98%)",
        "5 stages never trained: bitwise unchanged in 3 checks",
        "5 of 5 stages computed once, 4 views: 2.0 MB, 6 s",
        "accuracy 0.5000   balanced 0.2500   loss 1.5000",
        "61 s in all, 59 s fit, 80 images/s",
        "peak 2.5 GB, optimizer state 41.0 kB, saved activations 999 B",
        "3 TFLOP of training",
        "accuracy 0.7500 (last weights, epoch 3; schedule cosine falls to zero)",
        "accuracy 0.7312, 0.7100 to 0.7500 with a probability of 0.8",
    ],
)
def test_summary_says(says: str) -> None:
    panel = summary_panel(record())
    assert says in text(panel)


def test_a_solver_has_no_flops_and_no_rate() -> None:
    solved = record()
    solved.cost.train_flops = 0
    said = text(summary_panel(solved))
    assert "61 s in all, 59 s fit " in said
    assert "peak 2.5 GB " in said
    assert not [word for word in ("images/s", "TFLOP", "optimizer state") if word in said]


def test_status_as_table_and_as_markdown() -> None:
    assert re.search(r"conv1 +9,536 +0 +frozen", text(status_table(ROWS)))
    lines = status_markdown(ROWS, counted_line(5130, 14_666)).splitlines()
    assert lines[0] == "Trainable: 5,130 / 14,666 (34.98%)"
    assert lines[-1] == "| head | 5,130 | 5,130 | train |"


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        ({"unfreeze_depth": None, "phases": [{"from_epoch": 0, "stages": ["head", "layer1"]}]}, "head, layer1 train"),
        (
            {"unfreeze_depth": 1, "phases": [{"stages": ["head"]}, {"stages": ["head", "layer4"]}]},
            "2 phases, at the end 2 parts of 6 train",
        ),
        (
            {"unfreeze_depth": 2, "phases": [{"stages": ["head"]}], "planned_phases": 2},
            "head only: training ended before the plan's first change",
        ),
    ],
)
def test_summary_tells_the_plan(strategy: dict[str, object], says: str) -> None:
    of_run = record()
    of_run.strategy = replace(of_run.strategy, **strategy)
    assert says in text(summary_panel(of_run))


@pytest.mark.parametrize(
    ("freeze", "says"),
    [
        ({"verified": True, "checks": 3, "frozen_stages": 0}, "no stage was frozen throughout"),
        ({"verified": None, "checks": 0, "frozen_stages": 5}, "5 stages, not checked (strategy.guard=false)"),
    ],
)
def test_summary_tells_what_was_checked(freeze: dict[str, object], says: str) -> None:
    of_run = record()
    of_run.freeze = FreezeSection(**freeze)  # type: ignore[arg-type]
    assert says in text(summary_panel(of_run))


def test_plan_as_table_and_as_markdown() -> None:
    rows = [("1-3", "head", 5130), ("4-10", "head, layer4", 9_000_000)]
    assert re.search(r"4-10 +head, layer4 +9,000,000", text(plan_table(rows)))
    assert plan_markdown(rows).splitlines()[-1] == "| 4-10 | head, layer4 | 9,000,000 |"


def test_the_path_of_the_run_stands_on_a_line_of_its_own() -> None:
    long = Path("outputs") / ("a" * 200)
    assert next_steps(long, Path("outputs")).splitlines() == [
        f"run      {long}",
        f"use      thawline predict {long} IMAGES",
        "compare  tensorboard --logdir outputs",
    ]
    assert next_steps(long, Path("outputs"), tensorboard=False).splitlines()[2] == "compare  thawline compare outputs"
