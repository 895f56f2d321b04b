"""The table of a sweep's jobs in 80 columns: what a job is at is there, whatever its name and its last line."""

import io
from pathlib import Path

from made_up import write_run
from rich.console import Console

from thawline.sweep.job import OUTPUT, Job, Status
from thawline.sweep.sweep_table import jobs_table


def shown(jobs: list[Job]) -> list[str]:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(jobs_table(jobs))
    return console.export_text().splitlines()


def test_status_and_accuracy_are_shown_beside_long_names_and_lines(tmp_path: Path) -> None:
    name = "backbone_lr=0.000312345,unfreeze_depth=2,weight_decay=0.05"
    done = write_run(tmp_path / f"0_{name}", depth=2, seed=0, accuracy=0.75)
    going_on = tmp_path / f"1_{name}"
    going_on.mkdir()
    (going_on / OUTPUT).write_text("epoch 1/2  train/loss 1.2314  val/loss 0.8647  val/accuracy 0.7000  (14 s)\n")
    jobs = [Job(0, [], done, status=Status.COMPLETED, seconds=41.0, scores=(0.75, 0.75)), Job(1, [], going_on)]
    jobs[1].begin()
    title, _, first, second = shown(jobs)
    assert title.strip() == "Sweep: 1 of 2 jobs ended"
    assert "completed 41 s 0.750 0.750" in " ".join(first.split())
    assert "running" in second
    assert "epoch 1/2" in second
    assert max(map(len, (first, second))) <= 80
