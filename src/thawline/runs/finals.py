"""The end of a run in its logs: final values, hyperparameters; in the event file figures; the projector beside it."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightning.pytorch.loggers import Logger

from thawline.callbacks.tensorboard import EventFileLogger, event_file_named, log_finals
from thawline.report.run_figures import confusion_figure, mistakes_figure, plan_figure
from thawline.report.run_record import RunRecord
from thawline.runs.describe import hyperparameters
from thawline.runs.parts import Parts
from thawline.runs.projected import log_projector
from thawline.runs.watchers import Watchers

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # slow to load


def log_end(loggers: Sequence[Logger], parts: Parts, record: RunRecord, watch: Watchers, *, step: int) -> None:
    """Write them at `step`, the last of the training."""
    costs = {f"cost/{key}": float(value) for key, value in vars(record.cost).items() if value is not None}
    finals, params = {**record.metrics, **costs}, hyperparameters(record, parts)
    for logger in loggers:
        if isinstance(logger, EventFileLogger):
            with event_file_named(logger.log_dir):
                log_finals(logger, params, finals, step=step)
                _add_figures(logger, _figures(parts, record, watch), step=step)
                if watch.inputs is not None:
                    log_projector(logger.experiment, parts, watch.inputs, watch.mistakes.answers)
        else:
            logger.log_hyperparams(params | {"seed": record.seed})  # as it was logged at the start
            logger.log_metrics(finals, step=step)
            logger.save()


def _figures(parts: Parts, record: RunRecord, watch: Watchers) -> "dict[str, Figure]":
    """Tag -> figure."""
    figures = {"freeze_plan": plan_figure(*_planned(parts))}
    if record.classes.confusion is not None:
        figures["test/confusion"] = confusion_figure(record.classes.confusion, record.classes.names)
    source, worst = parts.data.source, watch.mistakes.worst()
    if worst:
        test, names = parts.data.splits["test"], source.class_names
        titles = [f"{names[m.truth]}, not {names[m.predicted]} ({m.confidence:.0%})" for m in worst]
        figures["test/worst_mistakes"] = mistakes_figure([source.load(int(test[m.position])) for m in worst], titles)
    return figures


def _add_figures(logger: EventFileLogger, figures: "dict[str, Figure]", *, step: int) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # class names in a script that the font lacks
        for tag, figure in figures.items():
            logger.experiment.add_figure(tag, figure, step)


def _planned(parts: Parts) -> tuple[list[list[bool]], list[str]]:
    """Per epoch and stage, the head last, whether it trains; and the stages' names."""
    plan, names = parts.bound.plan, [stage.name for stage in parts.model.backbone.stages]
    trained = [
        [*(index in parts.bound.training_stages(epoch) for index in range(len(names))), plan.phase(epoch).head]
        for epoch in range(parts.steps.epochs)
    ]
    return trained, [*names, "head"]
