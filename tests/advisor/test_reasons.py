"""The sentences: what was measured, and what overrules the matrix."""

from dataclasses import replace

import numpy as np

from thawline.advisor.evidence import Evidence
from thawline.advisor.experience import Expected
from thawline.advisor.options import OPTIONS
from thawline.advisor.reasons import reasons
from thawline.advisor.recommend import Choice, Price, Recommendation
from thawline.settings.advise_settings import BudgetSettings

EVIDENCE = Evidence(500, 4, 0.5, last=0.8, all_stages=0.81, pilot=0.83, majority=0.4, shifted=False, num_probed=500)
NO_BOUND = BudgetSettings()


def choice(name: str, *, seconds: float = 10.0, logit: float = 1.0) -> Choice:
    (option,) = (option for option in OPTIONS if option.name == name)
    return Choice(option, 3e-4, 8, Expected(name, logit, "pilot", 0.1, np.zeros(8)), Price(seconds, 10**9))


def found(
    best: str, other: str | None = "full_fine_tune", *, sure: bool = True, seconds: float = 10.0
) -> Recommendation:
    named = [choice(best), *([choice(other)] if other else [])]
    if "partial_fine_tune_2" not in (best, other):
        named.append(choice("partial_fine_tune_2", seconds=seconds, logit=0.0))
    first, *rest = named
    runner_up = rest.pop(0) if other else None
    second = None if sure else runner_up
    return Recommendation(
        "small_different", 0.5, first, runner_up, runner_up, 0.6, second, rest, num_tasks=8, most_images=1000
    )


def test_every_number_is_told() -> None:
    told = reasons(EVIDENCE, found("full_fine_tune", "partial_fine_tune_3"), budget=NO_BOUND)
    assert told == [
        "500 training images in 4 classes: small (the matrix calls fewer than 1,000 small, more than 100,000 large).",
        "Domain distance 0.50 (0 is the source, 1 is noise): different from what the backbone was trained on "
        "(below 0.25 counts as similar).",
        "On folds of the training images and the validation images a linear probe gets 0.800 from the last stage and "
        "0.810 from all stages together; calling everything the largest class, 0.400.",
        "In the pilot, the last two stages, trained for seconds, get 0.830 of images right that they have not seen.",
        "The matrix says partial_fine_tune_2 here; overruled: 8 tasks swept before foretell 0.731 for full_fine_tune "
        "here, and 0.500 for partial_fine_tune_2.",
        "Sure: full_fine_tune is ahead of every other option with a probability of 60% at least.",
    ]


def test_many_more_images_than_swept_before_are_told() -> None:
    many = replace(EVIDENCE, num_train=2001)
    assert reasons(many, found("multi_layer_probe", sure=False), budget=NO_BOUND)[-1] == (
        "Not sure: the tasks swept before had 1,000 training images at the most, and more images may favour what "
        "trains more. Run multi_layer_probe and full_fine_tune (10 s)."
    )


def test_what_is_not_known_is_not_told() -> None:
    told = reasons(replace(EVIDENCE, distance=None, pilot=None), found("full_fine_tune"), budget=NO_BOUND)
    assert told[1] == "This backbone carries no statistics of its source: the domain distance is not known."
    assert not any("pilot" in sentence for sentence in told)


def test_validation_images_that_differ_are_told() -> None:
    told = reasons(replace(EVIDENCE, shifted=True), found("full_fine_tune"), budget=NO_BOUND)
    assert any(sentence.endswith("the validation images alone judge.") for sentence in told)
    assert any(sentence.startswith("On the validation images a linear probe gets 0.800") for sentence in told)


def test_where_the_matrix_is_right_it_is_said() -> None:
    told = reasons(EVIDENCE, found("partial_fine_tune_2"), budget=NO_BOUND)
    assert (
        "The matrix says partial_fine_tune_2 here; so does what the 8 tasks swept before foretell from this evidence."
        in told
    )


def test_between_its_sizes_the_matrix_is_silent() -> None:
    medium = replace(found("full_fine_tune"), cell="medium_different")
    told = reasons(replace(EVIDENCE, num_train=1000), medium, budget=NO_BOUND)
    assert any(
        sentence.startswith(
            "The matrix is silent between its sizes, and says partial_fine_tune_2 for fewer images; overruled: 8 tasks "
        )
        for sentence in told
    )


def test_a_budget_overrules_the_matrix() -> None:
    told = reasons(EVIDENCE, found("partial_fine_tune_1", seconds=601.0), budget=BudgetSettings(minutes=10.0))
    assert "The matrix says partial_fine_tune_2 here; overruled: it is beyond the budget." in told
    assert "Beyond budget.minutes=10: partial_fine_tune_2." in told
    assert not any(
        "Beyond" in sentence for sentence in reasons(EVIDENCE, found("partial_fine_tune_1"), budget=NO_BOUND)
    )


def test_too_few_stages_overrule_the_matrix() -> None:
    shallow = replace(found("full_fine_tune", "feature_extraction"), others=[])
    assert "The matrix says partial_fine_tune_2 here, for which this backbone has too few stages." in reasons(
        EVIDENCE, shallow, budget=NO_BOUND
    )


def test_what_cannot_be_told_apart_is_to_be_swept() -> None:
    unsure = found("full_fine_tune", "partial_fine_tune_3", sure=False)
    assert reasons(EVIDENCE, unsure, budget=NO_BOUND)[-1] == (
        "Not sure: full_fine_tune is ahead of partial_fine_tune_3 with a probability of 60% only. Run full_fine_tune "
        "and partial_fine_tune_3 (10 s)."
    )
    quick = replace(unsure, second=choice("multi_layer_probe", seconds=4.0))
    assert reasons(EVIDENCE, quick, budget=NO_BOUND)[-1] == (
        "Not sure: full_fine_tune is ahead of partial_fine_tune_3 with a probability of 60% only. Run full_fine_tune "
        "and multi_layer_probe (4 s): on other tasks, the one of these that validated better did about as well as a "
        "sweep of everything."
    )
    alone = reasons(EVIDENCE, found("full_fine_tune", None), budget=NO_BOUND)
    assert alone[-1] == "Nothing else is within the budget."
