"""Evidence -> recommendation: the option with the highest expected accuracy within the budget, and the matrix cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thawline.advisor.evidence import Evidence
from thawline.advisor.experience import Expected, Measured, expect
from thawline.advisor.options import OPTIONS, Option, epochs_of, overrides, rate_of
from thawline.advisor.sizes import LARGE, SMALL
from thawline.errors import UserError
from thawline.settings.advise_settings import BudgetSettings

# Domain distance below which a target counts as similar to the source. Chosen after measuring on three backbones
# (docs/distance.md): photographs lie at 0.04 to 0.06, crops of them, inverted ones too, at 0.16 to 0.23; the next,
# crops at a low resolution, at 0.31 to 0.43.
SIMILAR = 0.25
# The advice is sure if the best option beats every other with this probability. Chosen: three out of four.
SURE = 0.75
# The option to run beside the best one if the advice is not sure. Chosen after measuring (docs/advice.md): it takes
# seconds, is fitted in another way, and was better than the runner-up when the validation images chose between the two.
SECOND_OPINION = "multi_layer_probe"
# It is not run if it is worse than the best option with this probability. Chosen: nine out of ten.
WORSE = 0.9
# With so many times the training images of the largest swept task, the advice is never sure. Chosen.
BEYOND = 2


@dataclass(frozen=True)
class Price:
    """Cost of a run on this machine: the time of training and validations, and the peak memory."""

    seconds: float
    memory_bytes: int


@dataclass(frozen=True)
class Choice:
    """An option with its learning rate, epochs, expected accuracy and price."""

    option: Option
    rate: float | None
    epochs: int | None
    expected: Expected
    price: Price

    @property
    def overrides(self) -> list[str]:
        """The overrides on a run's command line."""
        return overrides(self.option, rate=self.rate, epochs=self.epochs)

    def confidence_over(self, other: "Choice") -> float:
        """Probability that this choice is better than `other`."""
        return self.expected.confidence_over(other.expected)


@dataclass(frozen=True)
class Recommendation:
    """The options to run, and how sure the advice is.

    Attributes:
        cell: Cell of the guidelines' matrix, such as `small_different`; `medium_...` lies between its two sizes.
        similarity: 1 like the source, 0 like noise; None if the distance is not known.
        best, runner_up: The choices with the highest expected accuracy within the budget.
        rival: The choice within the budget that is most likely to be better than `best`; None if there is no other.
        confidence: Probability that `best` is better than `rival`; 1 without a rival.
        second: The choice to run beside `best` if the advice is not sure; else None.
        others: All other choices, the highest expected accuracy first, those beyond the budget too.
        num_tasks: Number of swept tasks that the advice rests on.
        most_images: Training images of the largest of these tasks.
    """

    cell: str
    similarity: float | None
    best: Choice
    runner_up: Choice | None
    rival: Choice | None
    confidence: float
    second: Choice | None
    others: list[Choice]
    num_tasks: int
    most_images: int

    @property
    def sure(self) -> bool:
        """Whether `best` beats every other choice with probability `SURE`."""
        return self.second is None

    @property
    def choices(self) -> list[Choice]:
        """All choices, the best first."""
        return [self.best, *([self.runner_up] if self.runner_up else []), *self.others]


def cell_of(evidence: Evidence) -> str:
    """The cell of the guidelines' matrix; an unknown distance counts as different."""
    size = "small" if evidence.num_train < SMALL else "large" if evidence.num_train > LARGE else "medium"
    return f"{size}_{'similar' if is_similar(evidence) else 'different'}"


def is_similar(evidence: Evidence) -> bool:
    """Whether the images are similar to those that the backbone was trained on; False if the distance is not known."""
    return evidence.distance is not None and evidence.distance < SIMILAR


def matrix_choice(cell: str) -> str:
    """Name of the option that the guidelines give for a cell; between the sizes, the one for small."""
    return {
        "small_similar": "feature_extraction",
        "medium_similar": "feature_extraction",
        "small_different": "partial_fine_tune_2",
        "medium_different": "partial_fine_tune_2",
    }.get(cell, "full_fine_tune")


def recommend(
    evidence: Evidence, prices: Mapping[str, Price], *, measured: Sequence[Measured], budget: BudgetSettings
) -> Recommendation:
    """Choose among the options that have a price.

    Raises:
        UserError: The budget allows none.
    """
    choices = _choices(evidence, prices, measured)
    allowed = [choice for choice in choices if allows(budget, choice.price)]
    if not allowed:
        cheapest = min(choices, key=lambda choice: choice.price.seconds)
        raise UserError(
            f"{budget}: nothing fits; the cheapest, {cheapest.option.name}, needs "
            f"{cheapest.price.seconds / 60:.1f} minutes and {cheapest.price.memory_bytes / 1e9:.1f} GB"
        )
    best, *rest = allowed
    runner_up = rest[0] if rest else None
    most_images = max(row.evidence.num_train for row in measured)
    known = evidence.num_train <= BEYOND * most_images
    rival = min(rest, key=best.confidence_over, default=None)
    confidence = best.confidence_over(rival) if rival else 1.0
    sure = rival is None or (known and confidence >= SURE)
    second = None if sure else _second(best, rest) if known else runner_up
    others = [choice for choice in choices if choice is not best and choice is not runner_up]
    similarity = None if evidence.distance is None else min(max(1 - evidence.distance, 0.0), 1.0)
    num_tasks = len({row.task for row in measured})
    return Recommendation(
        cell_of(evidence), similarity, best, runner_up, rival, confidence, second, others, num_tasks, most_images
    )


def _choices(evidence: Evidence, prices: Mapping[str, Price], measured: Sequence[Measured]) -> list[Choice]:
    """Every option that has a price, the highest expected accuracy first."""
    options = [option for option in OPTIONS if option.name in prices]
    choices = []
    for option, expected in zip(options, expect(evidence, [o.name for o in options], measured), strict=True):
        rate, epochs = rate_of(option, similar=is_similar(evidence)), epochs_of(option, evidence.num_train)
        choices.append(Choice(option, rate, epochs, expected, prices[option.name]))
    return sorted(choices, key=lambda choice: -choice.expected.logit)


def _second(best: Choice, rest: Sequence[Choice]) -> Choice:
    """The choice to run beside the best one; `rest` are the others within the budget, the best of them first."""
    for choice in rest:
        if choice.option.name == SECOND_OPINION and best.confidence_over(choice) < WORSE:
            return choice
    return rest[0]


def allows(budget: BudgetSettings, price: Price) -> bool:
    """Whether a run of this price may be recommended."""
    in_time = budget.minutes is None or price.seconds <= 60 * budget.minutes
    return in_time and (budget.memory_gb is None or price.memory_bytes <= 1e9 * budget.memory_gb)
