"""Evidence -> recommendation: the guidelines' matrix first, then what measurements on other tasks say against it."""

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
# Probability with which the choice has to beat every other, for the advice to be sure. Chosen: three out of four.
SURE = 0.75
# What to run beside the best option where the advice is not sure. Chosen after measuring (docs/advice.md): it takes
# seconds, is fitted in another way, and with the validation images choosing it did better than the runner-up.
SECOND_OPINION = "multi_layer_probe"
# Probability of being worse than the best option, from which on it is not. Chosen: nine out of ten.
WORSE = 0.9
# Times as many training images as any task swept before had, from which on its advice is never sure. Chosen.
BEYOND = 2


@dataclass(frozen=True)
class Price:
    """What a run costs on this machine: training with validations, and the most memory at once."""

    seconds: float
    memory_bytes: int


@dataclass(frozen=True)
class Choice:
    """An option with all that a run of it needs, and what to expect of it."""

    option: Option
    rate: float | None
    epochs: int | None
    expected: Expected
    price: Price

    @property
    def overrides(self) -> list[str]:
        """What a run takes on its command line."""
        return overrides(self.option, rate=self.rate, epochs=self.epochs)

    def confidence_over(self, other: "Choice") -> float:
        """Probability that this one does better."""
        return self.expected.confidence_over(other.expected)


@dataclass(frozen=True)
class Recommendation:
    """What to run, and why.

    Attributes:
        cell: Of the guidelines' matrix, such as `small_different`; `medium_...` lies between its two sizes.
        similarity: 1 like the source, 0 like noise; None where the backbone does not tell.
        best, runner_up: The choices with the highest expected accuracy that the budget allows.
        rival: The choice that the best one is hardest to tell from, within the budget; None where nothing else is.
        confidence: Probability that the best one is ahead of it; 1 without one.
        second: What to run besides where the evidence does not separate the best one from every other; else None.
        others: The remaining options, the most promising first, those beyond the budget too.
        num_tasks: Other tasks whose sweeps it rests on.
        most_images: Training images of the largest of them.
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
        """Whether the evidence separates the best choice from every other."""
        return self.second is None

    @property
    def choices(self) -> list[Choice]:
        """All of them, the recommended one first."""
        return [self.best, *([self.runner_up] if self.runner_up else []), *self.others]


def cell_of(evidence: Evidence) -> str:
    """The cell of the guidelines' matrix; a backbone that does not tell the distance is taken as a different one."""
    return f"{_size(evidence.num_train)}_{'similar' if is_similar(evidence) else 'different'}"


def is_similar(evidence: Evidence) -> bool:
    """Whether the images are near to those that the backbone was trained on; unknown counts as not."""
    return evidence.distance is not None and evidence.distance < SIMILAR


def matrix_choice(cell: str) -> str:
    """Name of the option that the guidelines give for a cell; between the sizes, that of the smaller one."""
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
    """Every option that has a price, the most promising first."""
    options = [option for option in OPTIONS if option.name in prices]
    found = expect(evidence, [option.name for option in options], measured)
    choices = [
        Choice(
            option,
            rate_of(option, similar=is_similar(evidence)),
            epochs_of(option, evidence.num_train),
            expected,
            prices[option.name],
        )
        for option, expected in zip(options, found, strict=True)
    ]
    return sorted(choices, key=lambda choice: -choice.expected.logit)


def _second(best: Choice, rest: Sequence[Choice]) -> Choice:
    """What to run beside the best choice; `rest` holds the others that the budget allows, the most promising first."""
    for choice in rest:
        if choice.option.name == SECOND_OPINION and best.confidence_over(choice) < WORSE:
            return choice
    return rest[0]


def allows(budget: BudgetSettings, price: Price) -> bool:
    """Whether a run of this price may be recommended."""
    in_time = budget.minutes is None or price.seconds <= 60 * budget.minutes
    return in_time and (budget.memory_gb is None or price.memory_bytes <= 1e9 * budget.memory_gb)


def _size(num_train: int) -> str:
    return "small" if num_train < SMALL else "large" if num_train > LARGE else "medium"
