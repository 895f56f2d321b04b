"""scenario=auto: the advisor chooses the strategy, then the run goes on with it."""

from rich.console import Console

from thawline.errors import UserError
from thawline.invocation import typed
from thawline.machine.processes import is_main
from thawline.report.record_sections import AdviceSection
from thawline.runs.advice import measured_advice, shown_advice
from thawline.runs.composed import Composed
from thawline.runs.context import RunContext

SCENARIO = "auto"
_OF_THE_ADVISOR = ("strategy", "optim")  # sections that it fills in


def advised(composed: Composed, context: RunContext) -> tuple[Composed, AdviceSection]:
    """The config with what the advisor recommends, and what run.json says of it.

    What else the command line says stays as it is. advice.json and the figure lie in the context's folder.

    Raises:
        UserError: The command line chooses what the advisor is to choose, or several processes train.
    """
    for override in context.overrides:
        key = override.lstrip("+~").partition("=")[0]
        if key.partition(".")[0] in _OF_THE_ADVISOR:
            raise UserError(f"{override}: scenario=auto chooses it; leave it out, or choose a scenario")
    settings = composed.read().settings
    if settings.trainer.devices != 1:
        raise UserError(
            f"trainer.devices={settings.trainer.devices}: scenario=auto runs in one process; ask "
            f"{typed('advise')} first, then train with what it recommends"
        )
    advice = measured_advice(settings, context)
    if is_main():
        shown_advice(advice, Console())
    section = AdviceSection(**{key: advice.body[key] for key in vars(AdviceSection())})
    return composed.with_overrides(context.overrides, advice.recommendation.best.overrides), section
