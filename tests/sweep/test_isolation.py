"""Pitfall 18: a job leaves nothing behind that the next one, in the same process, could feel."""

import gc
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from thawline.training.classifier import TransferClassifier

RunCli = Callable[..., Any]
TINY = ("data=folder", "data.augment=none", "data.num_workers=0", "data.batch_size=8", "model.name=test_resnet")
TINY += ("model.weights=none", "model.image_size=32", "trainer.accelerator=cpu", "trainer.max_epochs=2")


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return state


@pytest.mark.slow
def test_a_job_after_another_equals_the_job_alone_bit_by_bit(
    run_cli: RunCli, image_folder: Path, tmp_path: Path
) -> None:
    """Also where the job before it has stored what it trains on."""
    arguments = (*TINY, f"data.root={image_folder}", "cache.enabled=true")
    in_a_sweep = run_cli("-m", "hydra/launcher=basic", "strategy.unfreeze_depth=0,2", "sweep.depths=[0,2]", *arguments)
    assert in_a_sweep.code == 0, in_a_sweep.err
    (after,) = (tmp_path / "out" / "multirun").glob("*/1_*")
    shutil.rmtree(tmp_path / "cache")
    assert run_cli("strategy.unfreeze_depth=2", *arguments).code == 0
    (alone,) = (tmp_path / "out" / "small_different").iterdir()
    records = [json.loads((run / "run.json").read_text()) for run in (after, alone)]
    assert [record["cache"]["used"] for record in records] == [True, True]
    assert records[0]["metrics"] == records[1]["metrics"]
    ours, theirs = weights(after), weights(alone)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
def test_ten_jobs_take_no_more_memory_than_a_few(run_cli: RunCli, image_folder: Path, tmp_path: Path) -> None:
    seeds = ",".join(map(str, range(10)))
    last = (f"seed={seeds}", "trainer.max_epochs=1", f"data.root={image_folder}")
    assert run_cli("-m", "hydra/launcher=basic", *TINY, *last).code == 0
    runs = sorted((tmp_path / "out" / "multirun").glob("*/*/run.json"), key=lambda path: path.stat().st_mtime)
    peaks = [json.loads(path.read_text())["cost"]["peak_memory_bytes"] for path in runs]
    assert len(peaks) == 10
    assert max(peaks[5:]) < max(peaks[:5]) + 20e6
    gc.collect()
    alive = [thing for thing in gc.get_objects() if isinstance(thing, TransferClassifier)]
    assert len(alive) <= 1  # of the last job, if any
