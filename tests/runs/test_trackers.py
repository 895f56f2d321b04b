"""Where a run logs changes nothing else of it, and a tracker that cannot be reached ends no run."""

import csv
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from thawline import train
from thawline.callbacks.metrics_file import METRICS_FILE, MetricsFileLogger
from thawline.callbacks.trackers import Artifacts, MlflowTracker, WandbTracker
from thawline.errors import UserError
from thawline.report.run_record import RunRecord
from thawline.runs.tracked import TRACKERS_FILE, RunLogs
from thawline.settings import logger_setting
from thawline.settings.logger_setting import checked_loggers


@pytest.fixture
def overrides(image_folder: Path, tmp_path: Path, tiny_run: tuple[str, ...]) -> list[str]:
    place = [f"output_dir={tmp_path / 'out'}", f"cache.dir={tmp_path / 'cache'}", "model.image_size=32"]
    model = ["model.name=test_resnet", "model.weights=none", "trainer.log_every_n_steps=1"]
    return ["data=folder", f"data.root={image_folder}", *tiny_run, *model, *place]


@pytest.fixture
def local_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


def client(store: Path) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(store.absolute().as_uri())


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / METRICS_FILE).open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_mlflow_and_csv_get_the_whole_run(overrides: list[str], tmp_path: Path, local_store: None) -> None:
    pytest.importorskip("mlflow")
    record = train([*overrides, "logger=[csv,mlflow]"])
    (folder,) = (tmp_path / "out" / "small_different").iterdir()
    assert not list(folder.glob("events.*"))
    assert not (folder / "hparams.yaml").exists()
    rows = table(folder)
    assert float(rows[-1]["test/accuracy"]) == record.metrics["test/accuracy"]
    assert any(row["lr/head"] for row in rows)
    there = client(tmp_path / "out" / "mlruns")
    run_id = json.loads((folder / "trackers.json").read_text())["mlflow"]
    run = there.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", folder.name)
    assert (run.data.params["optim.name"], run.data.params["seed"]) == ("adamw", "0")
    for key, value in record.metrics.items():
        assert run.data.metrics[key] == value
    assert {"train/loss", "lr/head", "cost/fit_s"} <= set(run.data.metrics)
    assert {one.path for one in there.list_artifacts(run_id)} == {"run.json", "report.html", "model"}
    kept = Path(there.download_artifacts(run_id, "run.json"))
    assert json.loads(kept.read_text())["status"] == "completed"
    assert {one.path for one in there.list_artifacts(run_id, "model")} >= {
        "model/model.json",
        "model/model.safetensors",
    }
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_tracker_that_cannot_be_reached_is_a_warning(
    tmp_path: Path, local_store: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody listens there
    tracker = MlflowTracker(tmp_path, run_name="a", store=tmp_path, tracked_id=None)
    tracker.start({"a": 1})
    tracker.log_metrics({"b": 2.0}, step=1)
    tracker.end(Artifacts("completed", []))
    assert tracker.tracked_id is None
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("logger=mlflow: nothing more is logged there (")


def test_a_resumed_run_goes_on_with_the_same_run_of_mlflow(tmp_path: Path, local_store: None) -> None:
    pytest.importorskip("mlflow")
    store = tmp_path / "mlruns"
    first = MlflowTracker(tmp_path, run_name="a", store=store, tracked_id=None)
    first.start({"seed": 0})
    first.log_metrics({"loss": 2.0}, step=1)
    first.end(Artifacts("interrupted", []))
    there, run_id = client(store), first.tracked_id
    assert there.get_run(run_id).info.status == "KILLED"
    second = MlflowTracker(tmp_path, run_name="a", store=store, tracked_id=run_id)
    second.start({"seed": 0})
    assert there.get_run(run_id).info.status == "RUNNING"
    second.log_metrics({"loss": 1.0}, step=2)
    second.end(Artifacts("failed", []))
    assert there.get_run(run_id).info.status == "FAILED"
    assert [(m.step, m.value) for m in there.get_metric_history(run_id, "loss")] == [(1, 2.0), (2, 1.0)]


def test_the_runs_folder_knows_the_run_of_mlflow(tmp_path: Path, local_store: None) -> None:
    pytest.importorskip("mlflow")
    settings: Any = SimpleNamespace(loggers=("mlflow",), output_dir=str(tmp_path / "out"))
    record, ids = RunRecord(run_id="a", scenario="b", seed=0), []
    for first_step in (None, 3, None):  # a run, the same resumed, and one that begins anew in its folder
        logs = RunLogs()
        logs.open(settings, record, tmp_path, first_step=first_step)
        logs.end(record, tmp_path)
        ids.append(json.loads((tmp_path / TRACKERS_FILE).read_text())["mlflow"])
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.slow  # starts W&B's own process
def test_wandb_offline_keeps_its_files_in_the_runs_folder(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    record = train([*overrides, "logger=[wandb]"])
    assert record.status == "completed"
    (folder,) = (tmp_path / "out" / "small_different").iterdir()
    tracked_id = json.loads((folder / "trackers.json").read_text())["wandb"]
    (kept,) = (folder / "wandb").glob(f"offline-run-*-{tracked_id}")
    content = (kept / f"run-{tracked_id}.wandb").read_bytes()
    for text in (b"test/accuracy", b"optim.name", b"lr/head", b"report.html", b"model.safetensors"):
        assert text in content, text
    assert wandb.run is None
    again = WandbTracker(folder, run_name="a", tracked_id=tracked_id)
    again.start({})
    assert wandb.run.id == tracked_id
    again.end(Artifacts("failed", []))


def test_a_resumed_table_keeps_the_rows_before(tmp_path: Path) -> None:
    first = MetricsFileLogger(tmp_path)
    for step in (1, 2, 3):
        first.log_metrics({"loss": float(step)}, step=step)
    first.save()
    second = MetricsFileLogger(tmp_path, first_step=2)
    second.log_metrics({"loss": 9.0, "new": 1.0}, step=2)
    second.finalize("success")
    assert [(row["step"], row["loss"], row["new"]) for row in table(tmp_path)] == [
        ("1", "1.0", ""),
        ("2", "9.0", "1.0"),
    ]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("tensorbord", "logger=tensorbord: allowed are tensorboard, csv, mlflow, wandb, or several as a list"),
        (["csv", "csv"], "logger: csv stands twice"),
        ([], r"logger=\[\]: allowed are"),
        (None, "logger=None: allowed are"),
    ],
)
def test_a_wrong_logger_is_one_line(value: Any, line: str) -> None:
    with pytest.raises(UserError, match=line):
        checked_loggers(value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logger_setting, "find_spec", lambda name: None)
    assert checked_loggers(["tensorboard", "csv"]) == ("tensorboard", "csv")
    with pytest.raises(UserError, match=r'logger=wandb: takes a package: pip install "thawline\[wandb\]"'):
        checked_loggers("wandb")
