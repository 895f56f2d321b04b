"""A command's run: fresh or resumed, alone or as the rungs of scenario=auto, recorded and summed up."""

import contextlib
import io
import logging
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from rich.console import Console
from rich.panel import Panel

from thawline import __version__
from thawline.errors import UserError
from thawline.machine.processes import is_main, only_main_talks
from thawline.machine.sigterm import ended_by_sigterm
from thawline.machine.tf32 import tf32_restored
from thawline.machine.thread_trial import threads_restored
from thawline.models.load_checkpoint import load_checkpoint
from thawline.report.run_record import RECORD_FILE, RunRecord, load_record
from thawline.report.summary import next_steps, summary_panel
from thawline.runs.auto import climb
from thawline.runs.candidates import refuse_comparison
from thawline.runs.composed import Composed
from thawline.runs.context import RunContext
from thawline.runs.lock import owned
from thawline.runs.meeting import leaving_with_reason
from thawline.runs.one_run import run_once
from thawline.runs.quiet import quiet
from thawline.runs.resume import CHECKPOINT, Boundary, going_on_explained, resumed
from thawline.runs.rung import SCENARIO
from thawline.runs.tracked import recorded_and_tracked
from thawline.runs.whose_fault import users_code_named

_log = logging.getLogger(__name__)
_LOG_WIDTH = 120  # characters, as the lines of the source


def train(composed: Composed, context: RunContext) -> RunRecord:
    """Train, test and record one run in the context's folder, or go on with the one that lies there."""
    start = time.perf_counter()
    only_main_talks()
    folder = context.folder
    composed, record, boundary = _fresh_or_resumed(composed, context)
    record.versions = _versions()
    with (
        owned(folder),
        ended_by_sigterm(),
        _end_logged(record, folder),
        going_on_explained(record, folder, composed.output_dir),
        recorded_and_tracked(record, folder) as logs,
        quiet(),
        threads_restored(),
        leaving_with_reason(),
        tf32_restored(),
    ):
        ended: BaseException | None = None
        if record.scenario == SCENARIO:
            ended = climb(composed, context, record, start=start)
        else:
            config = composed.read()
            refuse_comparison(config.settings.model)
            with users_code_named(config.leaves):
                run_once(config, context, record, logs, start=start, boundary=boundary)
    if is_main():
        shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
        panel, tensorboard = summary_panel(record), "tensorboard" in composed.leaves["logger"]
        steps = next_steps(shown, Path(composed.output_dir), tensorboard=tensorboard)
        Console().print(panel)
        print(steps)
        _summary_into_the_log(panel, steps)
    if ended is not None:
        raise ended
    return record


@contextlib.contextmanager
def _end_logged(record: RunRecord, folder: Path) -> Iterator[None]:
    """Where the block ends in an error, train.log tells it, how far the run was and what memory it had.

    Of a run that fails in its training the terminal, too, is told how far it was; the error follows on stderr.
    """
    try:
        yield
    except BaseException:
        ended = f"{record.status}{record.ended_where}, with {record.progress.memory}"
        if is_main():
            _into_the_log(f"{ended}{f': {record.error}' if record.error else ''}", level=logging.ERROR)
        if is_main() and record.status == "failed" and record.progress.epoch:
            print(f"{ended}; see {folder / RECORD_FILE}")
        raise


def _summary_into_the_log(panel: Panel, steps: str) -> None:
    """The terminal has them in its own width."""
    text = io.StringIO()
    Console(file=text, width=_LOG_WIDTH).print(panel)
    _into_the_log(f"\n{text.getvalue()}{steps}")


def _into_the_log(text: str, *, level: int = logging.INFO) -> None:
    """Into train.log alone."""
    lines = logging.makeLogRecord(
        {"name": __name__, "levelno": level, "levelname": logging.getLevelName(level), "msg": text}
    )
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(lines)


def _fresh_or_resumed(composed: Composed, context: RunContext) -> tuple[Composed, RunRecord, Boundary | None]:
    folder = context.folder
    if not context.multirun and composed.resumes_sweep:
        raise UserError("sweep.resume=true: goes on with a sweep, so add -m; with one run goes on resume=RUN")
    if composed.resume is None:
        scenario = context.choices["scenario"]
        note_replaced(folder)
        return composed, RunRecord(run_id=folder.name, scenario=scenario, seed=composed.seed), None
    if context.multirun:
        raise UserError(f"resume={composed.resume}: goes on with one run; leave out -m")
    step = int(load_checkpoint(folder / CHECKPOINT)["global_step"])
    composed, before = resumed(composed, context)
    record = RunRecord(run_id=before.run_id, scenario=before.scenario, seed=before.seed, advice=before.advice)
    return composed, record, Boundary(folder / CHECKPOINT, step, before)


def note_replaced(folder: Path) -> None:
    """Where the command says the folder, a run that can be gone on with may lie there."""
    if (folder / RECORD_FILE).is_file() and (folder / CHECKPOINT).is_file():
        with contextlib.suppress(UserError):
            before = load_record(folder / RECORD_FILE)
            if before.status != "completed":
                was = "killed" if before.status == "running" else before.status
                note = "Note: this run takes the place of one that was %s%s; resume=%s would have gone on with it."
                _log.warning(note, was, before.ended_where, folder)


def _versions() -> dict[str, str]:
    names = ("torch", "lightning", "timm", "torchvision", "numpy")
    return {"thawline": __version__, "python": python_version(), **{name: version(name) for name in names}}
