"""The callbacks of a run that know something afterwards: checkpoints, cost, curves, mistakes, the guard."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import lightning as L

from thawline.callbacks.averaging import AverageWeights
from thawline.callbacks.best_and_last import BestCheckpoint, LastCheckpoint
from thawline.callbacks.cost import CostCallback
from thawline.callbacks.curves import CurvesCallback
from thawline.callbacks.end_by_sigterm import EndBySigterm
from thawline.callbacks.freeze import FreezeCallback
from thawline.callbacks.guard import FreezeGuard
from thawline.callbacks.head_inputs import HeadInputs
from thawline.callbacks.mistakes import MistakesCallback
from thawline.callbacks.note_progress import NoteProgress
from thawline.callbacks.progress import StopAtStep, progress_callbacks
from thawline.callbacks.refusals import refuse_unsafe
from thawline.callbacks.same_everywhere import SameEverywhere
from thawline.callbacks.seed_each_step import SeedEachStep
from thawline.callbacks.stop_diverged import StopDiverged
from thawline.callbacks.store_before_fit import StoreBeforeFit
from thawline.callbacks.tensorboard import TensorBoardCallback
from thawline.callbacks.thread_choice import ThreadChoice
from thawline.data.sources.subset import evenly_spread
from thawline.freezing.status_table import plan_markdown, status_markdown
from thawline.machine.thread_trial import candidates
from thawline.report.advice_json import FIGURE_NAME
from thawline.report.run_record import RunRecord
from thawline.runs.make import make
from thawline.runs.parts import Parts


@dataclass
class Watchers:
    """`guard` is None where `strategy.guard` is off, `threads` on a GPU and in several processes.

    So is `inputs` in several processes, of which each sees a part of the images, and where `projector` is 0.
    """

    best: BestCheckpoint
    last: LastCheckpoint
    progress: NoteProgress
    curves: CurvesCallback
    mistakes: MistakesCallback
    cost: CostCallback
    guard: FreezeGuard | None
    threads: ThreadChoice | None
    inputs: HeadInputs | None


def make_watchers(parts: Parts, record: RunRecord, *, folder: Path, cost: CostCallback) -> Watchers:
    """Those of a run in `folder`; `cost` counts since the run began, `record` learns how far it is."""
    checkpoints = folder / "checkpoints"
    guard = FreezeGuard.bound_to(parts.bound) if parts.settings.strategy.guard else None
    return Watchers(
        BestCheckpoint(
            checkpoints, by=parts.settings.selected, within_epochs=isinstance(parts.steps.validate_every, int)
        ),
        LastCheckpoint(checkpoints),
        NoteProgress(record.progress, epochs=parts.steps.epochs, save=partial(record.save_progress, folder)),
        CurvesCallback(),
        MistakesCallback(),
        cost,
        guard,
        _thread_choice(parts),
        _head_inputs(parts),
    )


def _head_inputs(parts: Parts) -> HeadInputs | None:
    most = parts.settings.projector
    if not most:
        return None
    return HeadInputs(evenly_spread(len(parts.data.splits["test"]), most).tolist())


def _thread_choice(parts: Parts) -> ThreadChoice | None:
    threads = parts.settings.threads
    if not parts.compute.on_cpu or parts.settings.trainer.num_processes > 1:  # Lightning shares out the cores
        return None
    return ThreadChoice(candidates(threads), plan=parts.bound.plan, follow=threads == "follow")


@dataclass(frozen=True)
class Said:
    """What a run tells besides its record.

    Attributes:
        folder: Of its event file.
        resumed_as: What `resume=` takes.
        config_text: YAML, for TensorBoard.
        held: What every process of the run must hold alike, as text by key.
        epoch_lines: Whether every validation gets a line in the log.
        store: What several processes call before they train, to store what frozen stages compute.
    """

    folder: Path
    resumed_as: Path
    config_text: str
    held: Mapping[str, str] = field(default_factory=dict)
    epoch_lines: bool = True
    store: Callable[[], None] | None = None


def all_callbacks(parts: Parts, watch: Watchers, said: Said) -> list[L.Callback]:
    """In this order: what saves the epoch boundary, what changes the model, what watches, the user's, the guard.

    Raises:
        UserError: A callback of the user's cannot be made, or would change what is frozen.
    """
    settings = parts.settings
    users = [make(node, f"callbacks.{key}") for key, node in settings.callbacks.items()]
    refuse_unsafe(users, parts.bound)
    texts = {
        "model_status": status_markdown(parts.rows, parts.trainable_line),
        "freeze_plan": plan_markdown(parts.phase_rows()),
        "config": f"```yaml\n{said.config_text}\n```",
    }
    decay = settings.regularize.ema_decay
    return [
        watch.last,
        watch.progress,
        FreezeCallback.bound_to(parts.bound),
        SeedEachStep(settings.seed),
        *([AverageWeights(parts.bound, decay)] if decay else []),
        StopAtStep(parts.steps),
        EndBySigterm(),
        TensorBoardCallback(texts, {"depth_profile": said.folder / FIGURE_NAME}),  # there with scenario=auto
        StopDiverged(watch.best),
        *([watch.threads] if watch.threads else []),
        *(watch.cost, watch.best, watch.curves, watch.mistakes),
        *([watch.inputs] if watch.inputs else []),
        *progress_callbacks(parts.steps, lines=said.epoch_lines, solves=settings.optim.solves),
        *users,
        *([SeedEachStep(settings.seed)] if users else []),  # again: one of theirs may draw or seed
        SameEverywhere(said.held),
        *([StoreBeforeFit(said.store)] if said.store else []),
        *([watch.guard] if watch.guard else []),
    ]
