"""MLflow and Weights & Biases: Lightning's loggers, which end no run where their server cannot be reached."""

import contextlib
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, WandbLogger

from thawline.errors import first_line
from thawline.machine.processes import is_main

PROJECT = "thawline"  # where the user's environment names no other
LOCAL_STORE = "mlruns"  # folder of MLflow's local store, below output_dir
_MLFLOW_ADDRESS = "MLFLOW_TRACKING_URI"
# MLflow by itself tries 7 times and waits 120 s each time, and a run would stand still for a quarter of an hour.
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
_WANDB_PATIENCE = 30  # seconds for the first answer; chosen, W&B's is 90
_ENDED = {"completed": "FINISHED", "interrupted": "KILLED"}  # status of the record -> MLflow's; any other has failed

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifacts:
    """What a run hands to a tracker at its end.

    Attributes:
        status: Of the run's record.
        files: Paths of files.
        report: Makes an HTML page of the run; None where the run did not complete.
        model: Folder of the portable model; None where there is none.
    """

    status: str
    files: list[Path]
    report: Callable[[], str] | None = None
    model: Path | None = None


class Tracker(Logger):
    """What both share: the first failure is a warning and switches the tracker off.

    Lightning asks loggers for a folder to write to; every logger of a run names the run's.
    """

    tracker: str
    folder: Path
    _off = False

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.folder)

    def start(self, params: Mapping[str, Any]) -> None:
        """Begin the run there, or go on with it, and log its settings."""
        self.attempt(lambda: self._start(params))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.attempt(lambda: super(Tracker, self).log_metrics(dict(metrics), step))  # type: ignore[safe-super]

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.attempt(lambda: super(Tracker, self).log_hyperparams(params))  # type: ignore[safe-super]

    def finalize(self, status: str = "success") -> None:
        """Nothing: Lightning calls this after the fit and after the test, and the run goes on."""

    def end(self, artifacts: Artifacts) -> None:
        """Hand over what the run left, and say how it ended."""
        self.attempt(lambda: self._end(artifacts))

    def attempt(self, act: Callable[[], None]) -> None:
        if self._off or not is_main():
            return
        try:
            act()
        except Exception as error:  # whatever a client raises, the run is worth more than its log
            self._off = True
            warn_unreachable(self.tracker, error)

    @property
    def tracked_id(self) -> str | None:
        """What the tracker calls the run; None where it never began there."""
        raise NotImplementedError

    def _start(self, params: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def _end(self, artifacts: Artifacts) -> None:
        raise NotImplementedError


def warn_unreachable(tracker: str, error: Exception) -> None:
    reason = first_line(error)[:300]
    _log.warning("logger=%s: nothing more is logged there (%s). The run goes on.", tracker, reason)


class MlflowTracker(Tracker, MLFlowLogger):
    """A run of MLflow, at MLFLOW_TRACKING_URI or in a local store.

    Args:
        store: Folder of the local store.
        tracked_id: Of the run to go on with.
    """

    tracker = "mlflow"

    def __init__(self, folder: Path, *, run_name: str, store: Path, tracked_id: str | None) -> None:
        self.folder = folder
        for key, value in _IMPATIENT.items():
            os.environ.setdefault(key, value)
        address = os.environ.get(_MLFLOW_ADDRESS)
        if not address:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3.7 and later ask for it
            store.mkdir(parents=True, exist_ok=True)
        super().__init__(
            os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT),
            run_name=run_name,
            tracking_uri=address or store.absolute().as_uri(),
            run_id=tracked_id,
        )

    @property
    def tracked_id(self) -> str | None:
        return self._run_id

    def _start(self, params: Mapping[str, Any]) -> None:
        with _address_restored():
            self.experiment.update_run(self.run_id, status="RUNNING")
        self.experiment.set_tag(self.run_id, "thawline.folder", str(self.folder))
        MLFlowLogger.log_hyperparams(self, dict(params))

    def _end(self, artifacts: Artifacts) -> None:
        client, run_id = self.experiment, self.run_id
        for path in artifacts.files:
            client.log_artifact(run_id, str(path))
        if artifacts.report is not None:
            client.log_text(run_id, artifacts.report(), "report.html")
        if artifacts.model is not None:
            client.log_artifacts(run_id, str(artifacts.model), artifacts.model.name)
        client.set_terminated(run_id, _ENDED.get(artifacts.status, "FAILED"))


@contextlib.contextmanager
def _address_restored() -> Iterator[None]:
    """Lightning makes its address that of the whole process; the next run of this process may have another."""
    import mlflow

    before = os.environ.get(_MLFLOW_ADDRESS)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None takes it back


class WandbTracker(Tracker, WandbLogger):
    """A run of Weights & Biases, whose files lie in the run's folder.

    Args:
        tracked_id: Of the run to go on with.
    """

    tracker = "wandb"

    def __init__(self, folder: Path, *, run_name: str, tracked_id: str | None) -> None:
        self.folder = folder
        super().__init__(
            name=run_name,
            save_dir=folder,
            id=tracked_id or uuid.uuid4().hex,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            settings={"console": "off", "init_timeout": _WANDB_PATIENCE},  # train.log has what is printed
        )
        self._is_the_users = False

    @property
    def tracked_id(self) -> str | None:
        return self._id

    def _start(self, params: Mapping[str, Any]) -> None:
        import wandb

        self._is_the_users = wandb.run is not None  # then Lightning logs to it, and it is not ours to end
        WandbLogger.log_hyperparams(self, dict(params))

    def _end(self, artifacts: Artifacts) -> None:
        import wandb

        run, kept = self.experiment, wandb.Artifact(f"run-{self._id}", type="run")
        for path in artifacts.files:
            kept.add_file(str(path))
        if artifacts.report is not None:
            with kept.new_file("report.html", encoding="utf-8") as file:
                file.write(artifacts.report())
        run.log_artifact(kept)
        if artifacts.model is not None:
            model = wandb.Artifact(f"model-{self._id}", type="model")
            model.add_dir(str(artifacts.model))
            run.log_artifact(model)
        if not self._is_the_users:
            run.finish(exit_code=int(artifacts.status != "completed"))
