"""scenario=auto: runs one after the other, each dearer than the one before; the best so far is always complete."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace

from rich.console import Console

from thawline.advisor.choices import Choice
from thawline.advisor.pass_cost import suffix_latency, weights_bytes
from thawline.atomic import write_atomically
from thawline.callbacks.guard import FreezeBreach
from thawline.errors import UserError
from thawline.invocation import typed
from thawline.report.record_sections import AdviceSection
from thawline.report.run_record import RunRecord
from thawline.runs.advice import Advice, measured_advice, shown_advice
from thawline.runs.candidates import candidates_of
from thawline.runs.composed import Composed
from thawline.runs.compute_of_run import compute_of
from thawline.runs.context import RunContext
from thawline.runs.resume import CONFIG_NAME
from thawline.runs.rung import Climb, completed, keep, lowered, note_rung, run_rung
from thawline.runs.shared import Shared
from thawline.runs.stacks import Solved, Stacks
from thawline.runs.whose_fault import users_code_named
from thawline.training.blend_gain import USUAL_GAIN

_OF_AUTO = ("strategy", "optim")  # sections that it fills in
_log = logging.getLogger(__name__)


def climb(composed: Composed, context: RunContext, record: RunRecord, *, start: float) -> BaseException | None:
    """Run the rungs. `record` and the context's folder become those of the best one after each.

    Returns:
        What interrupted it after the first rung, when the best so far is complete; else None.
    Raises:
        UserError: The command line chooses what is to be tried, a candidate is no model, or several processes train.
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
    state = Climb(composed, context, record, start, config.settings.budget, Shared())
    with users_code_named(config.leaves):
        stacks = Stacks(state, candidates_of(composed, overrides, state.shared))
    stacks.first()
    try:
        with _kept(state, "the comparison"):
            stacks.others()
        with _kept(state, "the advice"):
            _go_on(state, stacks, _advised(state, stacks.taken))
    except (KeyboardInterrupt, SystemExit) as error:
        state.record.advice.ended = "interrupted"
        return error
    return None


@contextlib.contextmanager
def _kept(state: Climb, name: str) -> Iterator[None]:
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


def _advised(state: Climb, solved: Solved) -> Advice | None:
    """What the features of the candidate that was taken say of the images; None where the budget is spent."""
    if state.left <= 0:
        return None
    context = replace(state.context, overrides=solved.candidate.given)
    advice = measured_advice(solved.candidate.config.settings, context, shared=state.shared)
    shown_advice(advice, Console())
    kept = {key: advice.body[key] for key in vars(AdviceSection()) if key in advice.body}
    state.record.advice = replace(state.record.advice, **kept)
    return advice


def _go_on(state: Climb, stacks: Stacks, advice: Advice | None) -> None:
    if advice is None:
        state.record.advice.ended = "budget.minutes is spent"
        _log.info("Stopped: %s.", state.record.advice.ended)
        return
    first, *choices = advice.recommendation.choices
    for choice in choices:
        if (reason := _not_worth_it(state, stacks, choice, passed=first.price.seconds)) is not None:
            state.record.advice.ended = reason
            break
        with _kept(state, choice.name):
            _blend(state, choice, stacks.taken)
            continue
        return
    else:
        state.record.advice.ended = "nothing further to try"
    _log.info("Stopped: %s.", state.record.advice.ended)


def _not_worth_it(state: Climb, stacks: Stacks, choice: Choice, *, passed: float) -> str | None:
    """Why a rung is not tried; `passed` seconds of its price are spent already, as its features are stored."""
    if completed(state, choice.name) is not None:
        return None
    budget, gain = state.budget, 100 * USUAL_GAIN
    seconds = max(state.pace, 1.0) * (choice.price.seconds - passed) + state.fixed_s
    if (reason := state.over_time(seconds, choice.name)) is not None:
        return reason
    if budget.memory_gb is not None and choice.price.memory_bytes > 1e9 * budget.memory_gb:
        needed = choice.price.memory_bytes / 1e9
        return f"budget.memory_gb={budget.memory_gb:g}: {choice.name} would need {needed:.1f} GB"
    if (reason := _beyond(state, stacks, choice)) is not None:
        return reason
    if gain < budget.min_gain:
        return f"budget.min_gain={budget.min_gain:g}: {choice.name} is expected to gain {gain:.1f} points"
    _log.info("Next: %s, about %.0f s, expected to gain %.1f points.", choice.name, seconds * state.slower, gain)
    return None


def _beyond(state: Climb, stacks: Stacks, choice: Choice) -> str | None:
    """The bound on the model that a blend would exceed: it has the stages that train twice."""
    budget, candidate = state.budget, stacks.taken.candidate
    if budget.latency_ms is None and budget.size_mb is None:
        return None
    settings, cost = candidate.config.settings, stacks.cost_of(candidate)
    backbone = state.shared.backbone(candidate.model, weights=settings.weights, seed=settings.seed)
    size = cost.num_bytes + weights_bytes(backbone, backbone.num_stages - choice.depth)
    if budget.size_mb is not None and size > 1e6 * budget.size_mb:
        return f"budget.size_mb={budget.size_mb:g}: {choice.name} would have {size / 1e6:.1f} MB"
    latency = cost.latency_s + suffix_latency(backbone, compute_of(settings, None), depth=choice.depth)
    if budget.latency_ms is not None and 1e3 * latency > budget.latency_ms:
        return f"budget.latency_ms={budget.latency_ms:g}: {choice.name} would take {1e3 * latency:.1f} ms"
    return None


def _blend(state: Climb, choice: Choice, solved: Solved) -> None:
    """Run it on the candidate that was taken; keep it where more is to be expected of it than of the stack."""
    overrides = [*solved.candidate.given, *choice.overrides]
    config = state.composed.with_overrides(solved.candidate.given, choice.overrides).read()
    rung = run_rung(state, choice.name, config, overrides)
    expected = lowered(rung.record.expected, state.record.advice.optimism)
    kept = expected.accuracy > state.record.expected.accuracy
    if kept:
        keep(state, rung, expected)
    note_rung(state, rung, expected, kept=kept, why_not="the rung before promises more")
