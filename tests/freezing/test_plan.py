"""A plan is a pure function of the epoch; every way to write one, by hand."""

from typing import Any

import pytest

from thawline.errors import UserError
from thawline.freezing.plan import FreezePlan, make_plan
from thawline.settings.strategy_settings import StrategySettings

NAMES = ("conv1", "layer1", "layer2", "layer3", "layer4")


def plan(**strategy: Any) -> FreezePlan:
    return make_plan(StrategySettings("test", **strategy), stage_names=NAMES, model_name="resnet18")


def stages(made: FreezePlan, num_epochs: int) -> list[set[int]]:
    return [set(made.phase(epoch).stages) for epoch in range(num_epochs)]


@pytest.mark.parametrize(
    ("depth", "trains"), [(0, set()), (1, {4}), (2, {3, 4}), (5, set(range(5))), ("all", set(range(5)))]
)
def test_depth_counts_final_stages_in_every_epoch(depth: int | str, trains: set[int]) -> None:
    made = plan(unfreeze_depth=depth)
    assert stages(made, 3) == [trains] * 3
    assert made.changes == ()
    assert made.num_stages == 5


@pytest.mark.parametrize("depth", [-1, 6, "some", 1.5, True, None])
def test_a_depth_out_of_range_names_the_stage_count(depth: Any) -> None:
    with pytest.raises(
        UserError, match=r"strategy\.unfreeze_depth=.*resnet18 has 5 stages; allowed are 0 .* to 5, or all"
    ):
        plan(unfreeze_depth=depth)


def test_gradual_unfreezing_thaws_one_stage_every_n_epochs_from_the_top() -> None:
    made = plan(unfreeze_depth=3, thaw_after=1, thaw_every=2)
    assert stages(made, 8) == [set(), {4}, {4}, {4, 3}, {4, 3}, {4, 3, 2}, {4, 3, 2}, {4, 3, 2}]
    assert made.changes == (1, 3, 5)
    assert made.ever_training() == {2, 3, 4}
    assert all(phase.head for phase in made.phases)


def test_gradual_unfreezing_from_the_first_epoch_has_no_phase_of_the_head_alone() -> None:
    assert stages(plan(unfreeze_depth="all", thaw_every=1), 3) == [{4}, {4, 3}, {4, 3, 2}]


def test_lp_ft_thaws_at_once_with_a_rate_of_its_own() -> None:
    made = plan(unfreeze_depth=2, thaw_after=3, thaw_lr=1e-4)
    assert stages(made, 5) == [set(), set(), set(), {3, 4}, {3, 4}]
    assert [phase.lr for phase in made.phases] == [None, 1e-4]


def test_surgical_takes_any_stages() -> None:
    assert stages(plan(stages=[0, "layer2", -1]), 1) == [{0, 2, 4}]
    assert stages(plan(stages=[-5, 3]), 1) == [{0, 3}]  # the lowest number there is
    assert stages(plan(stages="all"), 1) == [set(range(5))]


def test_stages_thaw_one_by_one_from_the_top_in_whatever_order_they_are_given() -> None:
    assert stages(plan(stages=[0, 3, 1], thaw_every=1), 3) == [{3}, {3, 1}, {3, 1, 0}]


def test_a_phase_takes_rates_from_0_to_10() -> None:
    (phase,) = plan(phases=[{"from_epoch": 0, "stages": ["head"], "lr": 0, "backbone_lr": 10}]).phases
    assert (phase.lr, phase.backbone_lr) == (0.0, 10.0)


def test_a_list_of_phases_may_freeze_again_and_rest_the_head() -> None:
    listed = [
        {"from_epoch": 0, "stages": ["head"]},
        {"from_epoch": 3, "stages": ["head", -1, "layer3"], "backbone_lr": 0.01},
        {"from_epoch": 5, "stages": ["conv1"]},
    ]
    made = plan(phases=listed)
    assert stages(made, 6) == [set(), set(), set(), {3, 4}, {3, 4}, {0}]
    assert [phase.head for phase in made.phases] == [True, True, False]
    assert made.phases[1].backbone_lr == 0.01
    assert made.as_list() == [
        {"from_epoch": 0, "stages": ["head"]},
        {"from_epoch": 3, "stages": ["head", "layer4", "layer3"]},
        {"from_epoch": 5, "stages": ["conv1"]},
    ]
    assert plan(phases=made.as_list()).as_list() == made.as_list()


def test_phases_that_a_run_never_reaches_are_left_out() -> None:
    made = plan(unfreeze_depth="all", thaw_after=1, thaw_every=1).until(3)
    assert made.changes == (1, 2)
    assert made.ever_training() == {3, 4}


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        ({"stages": [7]}, r"strategy\.stages=7: resnet18 has no such stage; allowed are head, all, conv1, .*-5 to 4"),
        ({"stages": ["layer9"]}, r"strategy\.stages=layer9: resnet18 has no such stage"),
        ({"stages": [5]}, r"strategy\.stages=5: resnet18 has no such stage"),
        ({"stages": [-6]}, r"strategy\.stages=-6: resnet18 has no such stage"),
        ({"stages": 3}, r"strategy\.stages=3: not a list"),
        ({"stages": []}, r"strategy\.stages names no stage; for the head only, use strategy\.unfreeze_depth=0"),
        ({"stages": [1], "unfreeze_depth": 2}, r"unfreeze_depth=2: has no effect beside strategy\.stages"),
        ({"phases": [], "unfreeze_depth": None}, r"strategy\.phases=\[\]: not a list of phases; write \[\{from_epoch"),
        ({"phases": [{"from_epoch": 0}]}, "from_epoch and stages are needed"),
        ({"phases": [{"from_epoch": 1, "stages": ["head"]}]}, r"from_epoch runs \[1\]; it starts at 0 and rises"),
        ({"phases": [{"from_epoch": 0, "stages": ["head"]}] * 2}, r"from_epoch runs \[0, 0\]"),
        ({"phases": [{"from_epoch": False, "stages": ["head"]}]}, r"from_epoch runs \[False\]"),
        ({"phases": [{"from_epoch": 0.0, "stages": ["head"]}]}, r"from_epoch runs \[0\.0\]"),
        ({"phases": [{"from_epoch": 0, "stages": [-1]}]}, "lacks head"),
        ({"phases": [{"from_epoch": 0, "stages": ["head"], "rate": 1}]}, r"phases\[0\]\.rate: no such key"),
        ({"phases": [{"from_epoch": 0, "stages": ["head"], "lr": "fast"}]}, r"phases\[0\]\.lr=fast: allowed are 0 to"),
        (
            {"phases": [{"from_epoch": 0, "stages": ["head"], "lr": 10.5}]},
            r"phases\[0\]\.lr=10\.5: allowed are 0 to 10",
        ),
        ({"phases": [{"from_epoch": 0, "stages": ["head"], "lr": True}]}, r"phases\[0\]\.lr=True: allowed are 0 to"),
        ({"phases": [{"from_epoch": 0, "stages": ["head"]}], "thaw_after": 2}, "thaw_after=2: has no effect beside"),
        (
            {"phases": [{"from_epoch": 0, "stages": ["head"]}], "thaw_after": 2, "thaw_every": 1},
            "thaw_after=2, strategy.thaw_every=1: have no effect beside .*; set strategy.thaw_after=0 strategy.thaw_e",
        ),
    ],
)
def test_what_no_plan_can_be_is_named(strategy: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        plan(**strategy)


def test_a_rate_for_a_thaw_that_never_comes_is_refused() -> None:
    with pytest.raises(UserError, match=r"strategy\.thaw_lr=0\.1: needs a thaw; set strategy\.thaw_after=EPOCHS"):
        plan(unfreeze_depth=2, thaw_lr=0.1)
