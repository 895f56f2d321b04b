"""The recommendation: the blend within the budget, else the stacked probe; the freeze line where probes stop rising."""

from functools import partial

import pytest

from thawline.advisor.choices import Price, allows, deepest_within, depths_to_train, epochs_of, recommend
from thawline.advisor.distance import Distances, Reading
from thawline.advisor.prices import blended_price
from thawline.advisor.profile import DepthProfile, ProbeScore
from thawline.advisor.reasons import reasons
from thawline.advisor.step_cost import StepCost
from thawline.features.expected import Expected
from thawline.settings.advise_settings import BudgetSettings


def profile(accuracies: list[float], *, distance: float | None = 0.5, by: str = "leave-one-out") -> DepthProfile:
    scores = [ProbeScore(accuracy, 100, 1.0) for accuracy in accuracies]
    names = tuple(f"stage{number}" for number in range(1, len(scores) + 1))
    reading = None if distance is None else Reading(distance, distance, distance)
    distances = Distances([reading] * len(scores), reading) if reading else None
    coarse = [ProbeScore(accuracy - 0.1, 100, 1.0) for accuracy in accuracies[:-1]] + [scores[-1]]
    expected = Expected.of(0.9, 100, by=by)
    return DepthProfile(names, {1: coarse, 2: scores}, scores[0], distances, expected, 100, 0.3)


@pytest.mark.parametrize(
    ("accuracies", "depths"),
    [
        ([0.5, 0.6, 0.8, 0.7], [3, 2]),  # from the third of four on, and one more
        ([0.5, 0.6, 0.7, 0.8], [2, 1]),
        ([0.5, 0.8, 0.7], [2]),  # a quarter of three is none
        ([0.5, 0.8, 0.8], [1]),  # of equals, the last
        ([*[0.5] * 8, 0.8], [3, 1]),  # a quarter of nine is two
        ([0.9, 0.6, 0.7, 0.8], [3]),  # one stage stays frozen
        ([0.9], [1]),  # nothing can be cut
    ],
)
def test_stages_train_from_a_quarter_of_them_before_the_best_probe_on(
    accuracies: list[float], depths: list[int]
) -> None:
    assert depths_to_train(profile(accuracies)) == depths
    assert depths_to_train(profile(accuracies, distance=None)) == depths
    assert depths_to_train(profile(accuracies, distance=0.1)) == depths[-1:]  # similar to the source


@pytest.mark.parametrize(("minutes", "depth", "tried"), [(5, 4, 1), (2, 2, 2), (0.5, 2, 2)])
def test_the_deepest_blend_within_the_budget_is_taken(minutes: float, depth: int, tried: int) -> None:
    asked: list[int] = []

    def price_of(depth: int) -> Price:
        asked.append(depth)
        return Price(60.0 * depth, 1)

    fits = partial(allows, BudgetSettings(minutes=minutes))
    assert deepest_within(fits, [4, 2], price_of) == (depth, Price(60.0 * depth, 1))
    assert len(asked) == tried


@pytest.mark.parametrize(("num_train", "epochs"), [(31, 128), (100, 43), (560, 8), (12_000, 8), (40_000, 2)])
def test_few_images_need_many_epochs(num_train: int, epochs: int) -> None:
    assert epochs_of(num_train) == epochs


@pytest.mark.parametrize(
    ("budget", "name"),
    [
        (BudgetSettings(minutes=None), "blend_2"),
        (BudgetSettings(minutes=1.0), "blend_2"),
        (BudgetSettings(minutes=0.9), "stacked_probe"),
        (BudgetSettings(minutes=None, memory_gb=1.9), "stacked_probe"),
    ],
)
def test_the_best_is_the_last_within_the_budget(budget: BudgetSettings, name: str) -> None:
    advice = recommend(
        profile([0.5, 0.8, 0.7]),
        num_train=500,
        depth=2,
        solved=Price(9.0, 10**9),
        blended=Price(60.0, 2 * 10**9),
        budget=budget,
    )
    assert advice.best.name == name
    assert [choice.name for choice in advice.choices] == ["stacked_probe", "blend_2"]
    assert advice.cell == "small_different"
    assert advice.similarity == 0.5


def test_similar_images_get_the_low_rate_of_the_guidelines() -> None:
    prices = {"solved": Price(1.0, 1), "blended": Price(2.0, 1), "budget": BudgetSettings()}
    similar = recommend(profile([0.5, 0.8], distance=0.2), num_train=500, depth=1, **prices)  # type: ignore[arg-type]
    different = recommend(profile([0.5, 0.8], distance=None), num_train=500, depth=1, **prices)  # type: ignore[arg-type]
    assert (similar.best.rate, different.best.rate) == (1e-4, 3e-4)
    assert "strategy.unfreeze_depth=1" in similar.best.overrides
    assert (similar.similarity, different.similarity) == (0.8, None)


def test_a_blend_costs_the_stack_and_its_steps() -> None:
    price = blended_price(Price(5.0, 1000), StepCost(0.01, 10, 20), num_train=320, num_val=60)
    assert price.seconds == pytest.approx(5.0 + 13 * (0.01 * (320 + 20) + 0.2))  # 128 steps of 10 an epoch
    assert price.memory_bytes == 1000 + 2 * 10 * 32 + 3 * 20


def said(made: DepthProfile, *, num_train: int = 500, depth: int = 2) -> str:
    budget = BudgetSettings(minutes=0.5)
    advice = recommend(
        made, num_train=num_train, depth=depth, solved=Price(9.0, 1), blended=Price(60.0, 1), budget=budget
    )
    return " ".join(reasons(made, advice, num_train=num_train, num_classes=4, why="WHY", budget=budget))


def test_reasons_tell_the_measurements_the_matrix_and_the_line() -> None:
    text = said(profile([0.5, 0.8, 0.7]))
    assert "500 training images in 4 classes: small" in text
    assert "Domain distance 0.50 (0 is the source, 1 is noise): different from" in text
    assert "The stack of all probes gets 0.900 of images right that it was not fitted on (leave-one-out, 100" in text
    assert "The matrix says partial_fine_tune of the last 2 stages here: the blend fine-tunes too" in text
    assert (
        "Probes get better up to stage2 (0.800); the freeze line lies right before it: the last 2 of 3 stages" in text
    )
    assert "(0.800); the freeze line lies 1 stage before it: the last 3 of 4" in said(
        profile([0.5, 0.6, 0.8, 0.7]), depth=3
    )
    assert "Beyond budget.minutes=0.5: blend_2." in text


def test_where_the_stack_overrules_the_matrix_it_says_by_how_much() -> None:
    says = said(profile([0.5, 0.8, 0.7], distance=0.1))  # the last stage 0.7, the stack 0.9 of 100 images
    assert "feature_extraction here; overruled: the stack reads the earlier stages too, and gets 20 of 100 " in says
    assert "gets 20 of 100 images more right (20.0 points)." in says
    assert "gets 3 of 100 images more right (3.0 points, which may be chance)." in said(
        profile([0.5, 0.8, 0.87], distance=0.1)
    )
    assert "gets 4 of 100 images fewer right (4.0 points)." in said(profile([0.5, 0.8, 0.94], distance=0.1))
    assert "The matrix is silent between its sizes, and for fewer images says feature_extraction" in said(
        profile([0.5, 0.8, 0.7], distance=0.1), num_train=5000
    )


def test_images_that_do_not_represent_new_ones_are_told() -> None:
    assert "The training images do not represent new ones: the stack is WHY." in said(profile([0.5], by="validation"))
    assert "the domain distance is not known" in said(profile([0.5], distance=None))
