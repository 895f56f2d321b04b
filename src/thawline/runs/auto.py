"""scenario=auto: runs one after the other, each dearer than the one before; the best so far is always complete."""

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from thawline.advisor.choices import Choice
from thawline.atomic import write_atomically
from thawline.callbacks.guard import FreezeBreach
from thawline.errors import UserError
from thawline.invocation import typed
from thawline.report.record_sections import AdviceSection, RungEntry
from thawline.report.run_record import RECORD_FILE, RUNGS, RunRecord, load_record
from thawline.runs.advice import Advice, measured_advice, shown_advice
from thawline.runs.composed import Composed
from thawline.runs.context import RunContext
from thawline.runs.one_run import run_once
from thawline.runs.publish import publish
from thawline.runs.resume import CONFIG_NAME
from thawline.runs.tracked import recorded_and_tracked
from thawline.runs.whose_fault import users_code_named
from thawline.settings.advise_settings import BudgetSettings
from thawline.training.blend_gain import USUAL_GAIN

SCENARIO = "auto"
_FIRST = ("stacked_probe", ["strategy=stacked_probe"])
_OF_AUTO = ("strategy", "optim")  # sections that it fills in
_log = logging.getLogger(__name__)


@dataclass
class _Climb:
    """How far it got."""

    composed: Composed
    context: RunContext
    record: RunRecord
    start: float
    budget: BudgetSettings

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.start

    @property
    def left(self) -> float:
        """Seconds of the budget."""
        return float("inf") if self.budget.minutes is None else 60 * self.budget.minutes - self.seconds


def climb(composed: Composed, context: RunContext, record: RunRecord, *, start: float) -> BaseException | None:
    """Run the rungs. `record` and the context's folder become those of the best one after each.

    Returns:
        What interrupted it after the first rung, when the best so far is complete; else None.
    Raises:
        UserError: The command line chooses what is to be tried, or several processes train.
    """
    overrides = record.advice.overrides or list(context.overrides)  # of a resumed run, those it began with
    context = replace(context, overrides=tuple(overrides))
    _refuse_what_auto_chooses(context)
    config = composed.read()
    if config.settings.trainer.num_processes != 1:
        raise UserError(
            f"{config.settings.trainer.processes_given}: scenario=auto runs in one process; ask "
            f"{typed('advise')} first, then train with what it recommends"
        )
    write_atomically(context.folder / CONFIG_NAME, config.text)
    record.advice = AdviceSection(overrides=overrides)
    state = _Climb(composed, context, record, start, config.settings.budget)
    _rung(state, *_FIRST)
    try:
        with _kept(state, "the advice"):
            _go_on(state, _advised(state))
    except (KeyboardInterrupt, SystemExit) as error:
        state.record.advice.ended = "interrupted"
        return error
    return None


@contextlib.contextmanager
def _kept(state: _Climb, name: str) -> Iterator[None]:
    """Whatever goes wrong after the first rung, the best so far stays; only a breach of the freeze plan is a defect."""
    try:
        yield
    except FreezeBreach:
        raise
    except Exception as error:
        told = (str(error).strip().splitlines() or [type(error).__name__])[0]
        _log.warning("%s failed: %s. The model of the rung before stays.", name, told)
        state.record.advice.ended = f"{name} failed: {told}"


def _refuse_what_auto_chooses(context: RunContext) -> None:
    for override in context.overrides:
        key = override.lstrip("+~").partition("=")[0]
        if key.partition(".")[0] in _OF_AUTO:
            raise UserError(f"{override}: scenario=auto chooses it; leave it out, or choose a scenario")


def _advised(state: _Climb) -> Advice | None:
    """What the first rung's features say of the images; None where the budget is spent."""
    if state.left <= 0:
        return None
    advice = measured_advice(state.composed.read().settings, state.context)
    shown_advice(advice, Console())
    kept = {key: advice.body[key] for key in vars(AdviceSection()) if key in advice.body}
    state.record.advice = replace(state.record.advice, **kept)
    return advice


def _go_on(state: _Climb, advice: Advice | None) -> None:
    if advice is None:
        state.record.advice.ended = "budget.minutes is spent"
        _log.info("Stopped: %s.", state.record.advice.ended)
        return
    first, *choices = advice.recommendation.choices
    for choice in choices:
        if (reason := _not_worth_it(state, choice, passed=first.price.seconds)) is not None:
            state.record.advice.ended = reason
            break
        with _kept(state, choice.name):
            _rung(state, choice.name, choice.overrides)
            continue
        return
    else:
        state.record.advice.ended = "nothing further to try"
    _log.info("Stopped: %s.", state.record.advice.ended)


def _not_worth_it(state: _Climb, choice: Choice, *, passed: float) -> str | None:
    """Why a rung is not tried; `passed` seconds of its price are spent already."""
    budget, gain = state.budget, 100 * USUAL_GAIN
    seconds = choice.price.seconds - passed  # features are stored
    if seconds > state.left:
        return (
            f"budget.minutes={budget.minutes:g}: {choice.name} would take {seconds:.0f} s, "
            f"{max(state.left, 0):.0f} s are left"
        )
    if budget.memory_gb is not None and choice.price.memory_bytes > 1e9 * budget.memory_gb:
        needed = choice.price.memory_bytes / 1e9
        return f"budget.memory_gb={budget.memory_gb:g}: {choice.name} would need {needed:.1f} GB"
    if gain < budget.min_gain:
        return f"budget.min_gain={budget.min_gain:g}: {choice.name} is expected to gain {gain:.1f} points"
    _log.info("Next: %s, about %.0f s, expected to gain %.1f points.", choice.name, seconds, gain)
    return None


def _rung(state: _Climb, name: str, overrides: list[str]) -> None:
    """Run it, or read what it gave before the run was cut off; keep it where more is to be expected of it."""
    rungs, start = state.record.advice.rungs, time.perf_counter()
    number = len(rungs) + 1
    folder = state.context.folder / RUNGS / f"{number}_{name}"
    record = _completed(folder)
    if record is None:
        folder.mkdir(parents=True, exist_ok=True)
        record = RunRecord(run_id=f"{state.record.run_id}/{folder.name}", scenario=SCENARIO, seed=state.record.seed)
        record.versions = state.record.versions
        config = state.composed.with_overrides(state.context.overrides, overrides).read()
        context = replace(state.context, folder=folder, rung=number)
        began = start if rungs else state.start
        with recorded_and_tracked(record, folder) as logs, users_code_named(config.leaves):
            run_once(config, context, record, logs, start=began, boundary=None)
    best = max((r.expected.accuracy for r in rungs if r.kept), default=-1.0)
    entry = RungEntry(name, record.expected, time.perf_counter() - start, record.expected.accuracy > best)
    rungs.append(entry)
    if entry.kept:
        publish(record, folder, state.record, state.context.folder)
    state.record.cost = replace(state.record.cost, wall_s=state.seconds)
    state.record.save(state.context.folder)
    _log.info("%s", rung_line(entry, state.seconds))


def _completed(folder: Path) -> RunRecord | None:
    if not (folder / RECORD_FILE).is_file():
        return None
    record = load_record(folder / RECORD_FILE)
    return record if record.status == "completed" else None


def rung_line(entry: RungEntry, seconds: float) -> str:
    """What is known after a rung, in one line."""
    expected = entry.expected
    of = f" of the {expected.new_images:,} test images" if expected.new_images else ""
    kept = "" if entry.kept else "; not kept, the rung before promises more"
    return (
        f"{seconds:4.0f} s  {entry.name}: accuracy {expected.accuracy:.3f} to expect on new images "
        f"({expected.low:.3f} to {expected.high:.3f}{of}){kept}"
    )
