"""Processes with different numbers of validation and test batches: nobody waits, and no image counts twice."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes saw."""
    folder = tmp_path_factory.mktemp("uneven")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    worker = [str(ROOT / "tests" / "uneven_processes.py"), str(folder)]
    done = subprocess.run([*command, *worker], capture_output=True, text=True, timeout=240)  # a hang ends here
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.slow
def test_metrics_are_those_of_one_process(ranks: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    import uneven_processes

    first, second = ranks
    assert (first["batches"], second["batches"]) == ([2, 2], [1, 1])
    assert first["validated"] == second["validated"]
    assert first["tested"] == second["tested"]
    model, data = uneven_processes.parts(world_size=1, rank=0)
    model.load_state_dict(first["state"])
    alone = uneven_processes.trainer(world_size=1, callbacks=[])
    (validated,) = alone.validate(model, datamodule=data, verbose=False)
    of_one = uneven_processes.tested(alone, model, data)
    assert first["validated"] == pytest.approx({key: validated[key] for key in first["validated"]}, abs=1e-6)
    assert first["tested"] == pytest.approx(of_one["tested"], abs=1e-6)
    assert torch.equal(first["confusion"], of_one["confusion"])
    assert torch.equal(first["confusion"], second["confusion"])
    assert int(first["confusion"].sum()) == 21  # pitfall 42
    for answers, of_alone in zip(first["answers"], of_one["answers"], strict=True):
        torch.testing.assert_close(answers, of_alone)  # all 21, in the order of the split
    for rank in ranks:
        rows, places = rank["inputs"]
        assert places.tolist() == uneven_processes.PLACES
        torch.testing.assert_close(rows, of_one["inputs"][0])


@pytest.mark.slow
def test_a_step_logs_the_loss_of_its_process_and_the_curve_that_of_all(ranks: list[dict[str, Any]]) -> None:
    losses = [rank["step_loss"] for rank in ranks]
    assert losses[0] != losses[1]  # no step waits for the other process to average it
    assert [rank["curve"] for rank in ranks] == pytest.approx([sum(losses) / 2] * 2, rel=1e-6)
