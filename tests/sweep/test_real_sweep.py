"""A sweep of the real train.py with two processes in each of two jobs; the ready-made sweeps."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

ROOT = Path(__file__).resolve().parents[2]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.num_workers=0")
TINY += ("data.batch_size=4", "trainer.accelerator=cpu", "trainer.max_epochs=2")


def sweep(tmp_path: Path, images: Path, *arguments: str) -> list[dict[str, Any]]:
    """Records of the jobs."""
    places = (f"data.root={images}", f"output_dir={tmp_path / 'out'}", f"cache.dir={tmp_path / 'cache'}")
    command = [sys.executable, "train.py", "-m", "data=folder", *places, *TINY, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr + done.stdout
    return [json.loads(path.read_text()) for path in sorted((tmp_path / "out").rglob("run.json"))]


@pytest.mark.slow
def test_jobs_of_two_processes_leave_a_folder_each(image_folder: Path, tmp_path: Path) -> None:
    """Pitfall 19: the processes of a job are started from its own command line, not from the sweep's."""
    records = sweep(tmp_path, image_folder, "trainer.devices=2", "seed=0,1")
    assert [(r["run_id"], r["status"]) for r in records] == [("0_seed=0", "completed"), ("1_seed=1", "completed")]
    assert [r["machine"]["processes"] for r in records] == [2, 2]


@pytest.mark.parametrize(
    ("name", "num_jobs"), [("unfreeze_depth", 18), ("learning_rate", 12), ("matrix", 60), ("seeds", 5)]
)
def test_every_job_of_a_ready_made_sweep_composes(name: str, num_jobs: int) -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train", [f"sweep={name}"], return_hydra_config=True)
        assert cfg.hydra.mode.name == "MULTIRUN"
        params = [f"{key}={value}" for key, value in OmegaConf.to_container(cfg.hydra.sweeper.params).items()]  # type: ignore[union-attr]
        (jobs,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(params), None)
        assert len(jobs) == num_jobs
        for job in jobs[:: max(1, num_jobs // 6)]:
            compose("train", [f"sweep={name}", *job])
