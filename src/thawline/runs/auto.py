"""scenario=auto: runs one after the other, each dearer than the one before; the best so far is always complete."""

import contextlib
import logging
import sys
from dataclasses import replace
from functools import partial

from rich.console import Console

from thawline.advisor.choices import Choice, Price, allows
from thawline.advisor.pass_cost import suffix_latency, weights_bytes
from thawline.atomic import write_atomically
from thawline.errors import UserError
from thawline.machine.processes import is_main
from thawline.report.record_sections import AdviceSection
from thawline.report.run_record import RunRecord
from thawline.runs.advice import Advice, measured_advice, shown_advice
from thawline.runs.called import Call, called, others_let_go, shared_batch, wait_for_call, without
from thawline.runs.candidates import candidates_of
from thawline.runs.composed import Composed, key_of
from thawline.runs.compute_of_run import compute_of
from thawline.runs.context import RunContext
from thawline.runs.ranks import refuse_other_processes
from thawline.runs.resume import CONFIG_NAME
from thawline.runs.rung import Climb, completed, keep, lowered, note_rung, noted, run_as, run_rung
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
        UserError: The command line chooses what is to be tried, a candidate is no model, or there are other processes
            than the settings ask for.
    """
    overrides = record.advice.overrides or list(context.overrides)  # of a resumed run, those it began with
    context = replace(context, overrides=tuple(overrides))
    _refuse_what_auto_chooses(context)
    config = composed.read()
    trainer = config.settings.trainer
    refuse_other_processes(trainer, context)
    record.advice = AdviceSection(overrides=overrides)
    state = Climb(composed, context, record, start, config.settings.budget, trainer, Shared())
    if not is_main():
        _help(state)
        return None
    write_atomically(context.folder / CONFIG_NAME, config.text)
    if trainer.num_processes > 1:
        _log.info("%s: one process solves, all %d train a blend.", trainer.processes_given, trainer.num_processes)
    with users_code_named(config.leaves):
        stacks = Stacks(state, candidates_of(composed, overrides, state.shared))
    stacks.first()
    try:
        with others_let_go():
            with noted(partial(_failed, state, "the comparison")):
                stacks.others()
            with noted(partial(_failed, state, "the advice")):
                _go_on(state, stacks, _advised(state, stacks.taken))
    except (KeyboardInterrupt, SystemExit) as error:
        state.record.advice.ended = "interrupted"
        return error
    finally:
        record.cost = replace(record.cost, wall_s=state.seconds)  # with what came after the last rung
    return None


def _help(state: Climb) -> None:
    """Train with the first process where it calls; it alone says how that ended."""
    if (call := wait_for_call()) is not None:
        with noted(lambda line: print(line, file=sys.stderr)):
            run_as(state, call.name, call.config(state.composed), call.overrides, number=call.number)


def _failed(state: Climb, name: str, line: str) -> None:
    """Whatever goes wrong after the first rung, the best so far stays."""
    _log.warning("%s failed: %s. The model of the rung before stays.", name, line)
    state.record.advice.ended = f"{name} failed: {line}"


def _refuse_what_auto_chooses(context: RunContext) -> None:
    for override in context.overrides:
        if key_of(override).partition(".")[0] in _OF_AUTO:
            raise UserError(f"{override}: scenario=auto chooses it; leave it out, or choose a scenario")


def _advised(state: Climb, solved: Solved) -> Advice | None:
    """What the features of the candidate that was taken say of the images; None where the budget is spent."""
    if state.left <= 0:
        return None
    context = replace(state.context, overrides=solved.candidate.given)
    settings = solved.candidate.config.settings
    advice = measured_advice(settings, context, shared=state.shared, fits=partial(_in_time, state))
    shown_advice(advice, Console())
    kept = {key: advice.body[key] for key in vars(AdviceSection()) if key in advice.body}
    state.record.advice = replace(state.record.advice, **kept)
    return advice


def _go_on(state: Climb, stacks: Stacks, advice: Advice | None) -> None:
    if advice is None:
        minutes = state.budget.minutes or 0.0
        more = f"with more, such as budget.minutes={5 * max(minutes, 1):g}, a fine-tuned blend comes next"
        _stopped(state, f"budget.minutes={minutes:g} is spent; {more}")
        return
    _, blend = advice.recommendation.choices
    if (reason := _not_worth_it(state, stacks, blend)) is not None:
        _stopped(state, reason)
        return
    with noted(partial(_failed, state, blend.name)):
        _blend(state, blend, stacks.taken)
        _stopped(state, "nothing further to try")


def _stopped(state: Climb, reason: str) -> None:
    state.record.advice.ended = reason
    _log.info("Stopped: %s.", reason)


def _not_worth_it(state: Climb, stacks: Stacks, choice: Choice) -> str | None:
    """Why the blend is not tried."""
    if completed(state, choice.name) is not None:
        return None
    seconds = _seconds_of(state, choice.price)
    return _beyond(state, stacks, choice) or state.refused(
        choice.name, seconds=seconds, gain=USUAL_GAIN, memory_bytes=choice.price.memory_bytes
    )


def _seconds_of(state: Climb, price: Price) -> float:
    """Of a rung: a pass and the training, as was just measured, and what a rung takes besides."""
    return price.seconds + state.fixed_s


def _in_time(state: Climb, blended: Price) -> bool:
    """Whether the budget allows it, and what is left of the time."""
    return allows(state.budget, blended) and state.in_time(_seconds_of(state, blended))


def _beyond(state: Climb, stacks: Stacks, choice: Choice) -> str | None:
    """The bound on the model that a blend would exceed: it has the stages that train twice."""
    if not state.budget.bounds_models:
        return None
    candidate = stacks.taken.candidate
    settings, cost = candidate.config.settings, stacks.cost_of(candidate)
    backbone = state.shared.backbone(candidate.model, weights=settings.weights, seed=settings.seed)
    twice = weights_bytes(backbone, backbone.num_stages - choice.depth)
    again_s = suffix_latency(backbone, compute_of(settings, None), depth=choice.depth)
    return state.beyond(choice.name, latency_s=cost.latency_s + again_s, num_bytes=cost.num_bytes + twice)


def _blend(state: Climb, choice: Choice, solved: Solved) -> None:
    """Run it on the candidate that was taken; keep it where more is to be expected of it than of the stack."""
    batch = shared_batch(state.trainer, batch_size=solved.candidate.config.settings.loader.batch_size)
    given, more = without(solved.candidate.given, batch), (*choice.overrides, *batch)
    call = Call(choice.name, len(state.record.advice.rungs) + 1, tuple(given), more)
    with called(call, state.trainer) if completed(state, choice.name) is None else contextlib.nullcontext():
        rung = run_rung(state, choice.name, call.config(state.composed), call.overrides)
    expected = lowered(rung.record.expected, state.record.advice.optimism)
    kept = expected.accuracy > state.record.expected.accuracy
    if kept:
        keep(state, rung, expected)
    note_rung(state, rung, expected, kept=kept, why_not="the rung before promises more")
