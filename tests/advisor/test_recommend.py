"""The matrix's cells, the choice, the budget, and how sure it is."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from thawline.advisor.evidence import Evidence
from thawline.advisor.experience import Measured
from thawline.advisor.options import HEAD_LR, OPTIONS, Option, rate_of
from thawline.advisor.recommend import (
    Choice,
    Price,
    Recommendation,
    cell_of,
    matrix_choice,
    recommend,
)
from thawline.errors import UserError
from thawline.settings.advise_settings import BudgetSettings

NAMES = [option.name for option in OPTIONS]
CHEAP = Price(10.0, 10**9)
EVIDENCE = Evidence(500, 4, 0.5, last=0.8, all_stages=0.81, pilot=0.81, majority=0.4, shifted=False, num_probed=500)


def sweeps(gains: dict[str, float], *, odd: int = 0) -> list[Measured]:
    """Eight tasks on which options gain so much (in logits) over the probes; on `odd` of them, as much less."""
    rows = []
    for number in range(8):
        sign = -1.0 if number < odd else 1.0
        accuracy = {n: 1 / (1 + math.exp(-(math.log(0.81 / 0.19) + sign * gains.get(n, 0.0)))) for n in NAMES}
        rows.append(Measured(f"kind{number}_x", "some", EVIDENCE, accuracy))
    return rows


def advice(
    gains: dict[str, float],
    *,
    odd: int = 0,
    evidence: Evidence = EVIDENCE,
    prices: dict[str, Price] | None = None,
    minutes: float | None = None,
    memory_gb: float | None = None,
) -> Recommendation:
    return recommend(
        evidence,
        prices or dict.fromkeys(NAMES, CHEAP),
        measured=sweeps(gains, odd=odd),
        budget=BudgetSettings(minutes, memory_gb),
    )


@pytest.mark.parametrize(
    ("num_train", "distance", "cell", "choice"),
    [
        (999, 0.05, "small_similar", "feature_extraction"),
        (999, 0.6, "small_different", "partial_fine_tune_2"),
        (999, None, "small_different", "partial_fine_tune_2"),
        (1000, 0.05, "medium_similar", "feature_extraction"),
        (100_000, 0.6, "medium_different", "partial_fine_tune_2"),
        (100_001, 0.05, "large_similar", "full_fine_tune"),
        (100_001, 0.6, "large_different", "full_fine_tune"),
    ],
)
def test_the_matrix(num_train: int, distance: float | None, cell: str, choice: str) -> None:
    evidence = replace(EVIDENCE, num_train=num_train, distance=distance)
    assert cell_of(evidence) == cell
    assert matrix_choice(cell) == choice
    assert advice({}, evidence=evidence).cell == cell


@pytest.mark.parametrize(("distance", "rate"), [(0.6, 3e-4), (0.25, 3e-4), (0.24, 1e-4), (None, 3e-4)])
def test_similar_images_are_tuned_at_a_low_rate(distance: float | None, rate: float) -> None:
    """The guidelines; else the rate of conf/strategy. What is solved for has none."""
    found = advice({"full_fine_tune": 1.0}, evidence=replace(EVIDENCE, distance=distance))
    assert {choice.rate for choice in found.choices if not choice.option.solved} == {rate}
    assert {choice.rate for choice in found.choices if choice.option.solved} == {None}


def test_the_usual_rate_is_that_of_the_strategies() -> None:
    for name in ("partial_fine_tune", "full_fine_tune"):
        conf = OmegaConf.load(Path(__file__).parents[2] / "conf" / "strategy" / f"{name}.yaml")
        rates = conf.strategy.adamw
        assert (rates.lr, rates.backbone_lr) == (HEAD_LR, rate_of(Option(name, None), similar=False))


def test_what_did_best_elsewhere_is_recommended() -> None:
    found = advice({"full_fine_tune": 1.0, "partial_fine_tune_3": 0.5})
    assert found.best.option.name == "full_fine_tune"
    assert found.runner_up is not None
    assert found.runner_up.option.name == "partial_fine_tune_3"
    assert found.sure
    assert found.best.rate == 3e-4
    assert found.similarity == 0.5
    assert len(found.others) == 5
    assert found.num_tasks == 8
    assert [choice.option.name for choice in found.choices[:2]] == ["full_fine_tune", "partial_fine_tune_3"]
    assert {choice.option.name for choice in found.choices} == set(NAMES)


def test_what_changes_from_task_to_task_is_not_sure() -> None:
    assert advice({"full_fine_tune": 1.0}, odd=1).sure
    found = advice({"full_fine_tune": 1.0}, odd=3)
    assert found.best.option.name == "full_fine_tune"
    assert not found.sure


def name_of(choice: Choice | None) -> str | None:
    return choice.option.name if choice else None


def test_it_is_sure_only_if_it_is_ahead_of_every_other_option() -> None:
    """Of the runner-up always, by little; of the third, which once gains and once loses much, only mostly."""
    close = {"full_fine_tune": 1.0, "partial_fine_tune_3": 0.9}
    steady = sweeps(close)
    prices = dict.fromkeys(NAMES, CHEAP)
    wild = [
        replace(row, accuracy={**row.accuracy, "partial_fine_tune_1": 0.99 if number < 3 else 0.3})
        for number, row in enumerate(steady)
    ]
    for measured, sure, rival in ((steady, True, None), (wild, False, "partial_fine_tune_1")):
        found = recommend(EVIDENCE, prices, measured=measured, budget=BudgetSettings())
        assert name_of(found.runner_up) == "partial_fine_tune_3"
        assert found.sure is sure
        assert (found.confidence > 0.99) is sure
        assert rival is None or name_of(found.rival) == rival


def test_where_it_is_not_sure_the_second_to_run_is_the_quick_one() -> None:
    assert advice({"full_fine_tune": 1.0}).second is None
    gains = {"full_fine_tune": 1.0, "partial_fine_tune_3": 0.9}
    found = advice(gains, odd=3)
    assert (name_of(found.runner_up), name_of(found.second)) == ("partial_fine_tune_3", "multi_layer_probe")
    over = dict.fromkeys(NAMES, CHEAP) | {"multi_layer_probe": Price(601.0, 1)}
    assert name_of(advice(gains, odd=3, prices=over, minutes=10.0).second) == "partial_fine_tune_3"
    itself = advice({"multi_layer_probe": 1.0, "partial_fine_tune_3": 0.9}, odd=3)
    assert (name_of(itself.best), name_of(itself.second)) == ("multi_layer_probe", "partial_fine_tune_3")
    worse = replace(EVIDENCE, all_stages=0.3)
    assert name_of(advice(gains, odd=3, evidence=worse).second) == "partial_fine_tune_3"
    many = replace(EVIDENCE, num_train=2 * found.most_images + 1)
    assert name_of(advice(gains, odd=3, evidence=many).second) == "partial_fine_tune_3"


def test_far_beyond_what_was_swept_nothing_is_sure() -> None:
    def sure(num_train: int) -> bool:
        return advice({"full_fine_tune": 1.0}, evidence=replace(EVIDENCE, num_train=num_train)).sure

    most = advice({}).most_images
    assert sure(2 * most)
    assert not sure(2 * most + 1)


def test_the_budget_bounds_time_and_memory() -> None:
    prices = dict.fromkeys(NAMES, CHEAP) | {"full_fine_tune": Price(700.0, 5 * 10**9)}
    gains = {"full_fine_tune": 1.0, "partial_fine_tune_2": 0.5}
    for bound in ({"minutes": 10.0}, {"memory_gb": 4.0}):
        assert advice(gains, prices=prices, **bound).best.option.name == "partial_fine_tune_2"
    assert advice(gains, prices=prices, minutes=12.0, memory_gb=5.0).best.option.name == "full_fine_tune"
    prices["partial_fine_tune_2"] = Price(601.0, 1)
    assert advice(gains, prices=prices, minutes=10.0).best.option.name not in ("full_fine_tune", "partial_fine_tune_2")


def test_a_budget_that_nothing_fits_names_the_cheapest() -> None:
    prices = dict.fromkeys(NAMES, Price(600.0, 10**9)) | {"feature_extraction": Price(90.0, 2 * 10**9)}
    with pytest.raises(
        UserError,
        match=r"^budget.minutes=1: .* cheapest, feature_extraction, needs 1.5 minutes and 2.0 GB",
    ):
        advice({}, prices=prices, minutes=1.0)


def test_a_backbone_of_few_stages_has_fewer_options() -> None:
    prices = {name: CHEAP for name in NAMES if name not in ("partial_fine_tune_5", "partial_fine_tune_3")}
    found = advice({"partial_fine_tune_5": 1.0}, prices=prices)
    assert found.best.option.name in prices
    assert len(found.others) == 3


@pytest.mark.parametrize(
    ("num_train", "epochs"), [(20, 128), (100, 43), (200, 22), (560, 8), (12_000, 8), (24_000, 4), (200_000, 2)]
)
def test_few_images_need_more_epochs_and_many_fewer(num_train: int, epochs: int) -> None:
    found = advice({"full_fine_tune": 1.0}, evidence=replace(EVIDENCE, num_train=num_train))
    assert found.best.epochs == epochs


@pytest.mark.parametrize("bound", [{"minutes": 0.0}, {"memory_gb": -1.0}])
def test_a_budget_is_above_0(bound: dict[str, float]) -> None:
    with pytest.raises(UserError, match=r"budget.\w+=.*: a number above 0, or null for no bound"):
        BudgetSettings(**bound)
