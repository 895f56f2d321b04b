"""Launchers and the sweeper that come with extras; without the extra, one line says what to install."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from omegaconf import OmegaConf

APP = Path(__file__).parent / "app.py"


def run(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(APP), *arguments, f"output_dir={out}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def records(out: Path) -> dict[str, str]:
    return {path.parent.name: json.loads(path.read_text())["status"] for path in sorted(out.rglob("run.json"))}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "module"), [("joblib", "hydra_joblib_launcher"), ("submitit_local", "hydra_submitit_launcher")]
)
def test_another_launcher_runs_the_same_jobs(launcher: str, module: str, tmp_path: Path) -> None:
    if find_spec(f"hydra_plugins.{module}") is None:
        done = run(tmp_path, "-m", f"hydra/launcher={launcher}", "seed=0,1")
        extra = launcher.partition("_")[0]
        assert (
            done.stderr == f'error: hydra/launcher={launcher}: comes with an extra; pip install "thawline[{extra}]"\n'
        )
        assert done.returncode == 2
        return
    done = run(tmp_path, "-m", f"hydra/launcher={launcher}", "seed=0,1")
    assert done.returncode == 0, done.stderr
    assert records(tmp_path) == {"0_seed=0": "completed", "1_seed=1": "completed"}


@pytest.mark.slow
def test_a_trial_that_fails_does_not_end_a_search(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    done = run(tmp_path, "sweep=optuna", "hydra.sweeper.n_trials=3", "+bad_0=raise_later")
    assert done.returncode == 1
    assert sorted(records(tmp_path).values()) == ["completed", "completed", "failed"]
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "1 of 3 jobs did not complete: 1_" in line
    assert "Traceback" not in done.stderr + done.stdout
    (folder,) = (tmp_path / "multirun").iterdir()
    assert OmegaConf.load(folder / "optimization_results.yaml").best_value == 0.5
    (folder / "mended").touch()
    again = run(tmp_path, "sweep=optuna", "hydra.sweeper.n_trials=3", "+bad_0=raise_later", "sweep.resume=true")
    assert again.returncode == 0, again.stderr
    assert set(records(tmp_path).values()) == {"completed"}


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_ended(tmp_path: Path) -> None:
    arguments = ("sweep=optuna", "hydra.sweeper.n_trials=3", "+bad_0=raise")
    if find_spec("hydra_plugins.hydra_optuna_sweeper") is None:
        assert 'pip install "thawline[optuna]"' in run(tmp_path, *arguments).stderr
        return
    first = run(tmp_path, *arguments)
    assert first.returncode == 1
    assert "Traceback" not in first.stderr
    ((name, status),) = records(tmp_path).items()
    assert status == "failed"
    (folder,) = (tmp_path / "multirun").iterdir()
    (folder / "mended").touch()
    second = run(tmp_path, *arguments, "sweep.resume=true")
    assert second.returncode == 0, second.stderr
    assert list((tmp_path / "multirun").iterdir()) == [folder]
    states = records(tmp_path)
    assert len(states) == 3
    assert states[name] == "completed"
    assert OmegaConf.load(folder / "optimization_results.yaml").best_value == 0.5  # val/accuracy
