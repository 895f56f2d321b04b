"""The advice in the terminal: what is beyond the budget, and commands that can be copied."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from thawline.advisor.experience import Expected
from thawline.advisor.options import OPTIONS
from thawline.advisor.recommend import Choice, Price, Recommendation
from thawline.report.advice_panel import advice_panel, commands, next_steps
from thawline.settings.advise_settings import BudgetSettings


def choice(name: str, *, seconds: float = 10.0) -> Choice:
    (option,) = (option for option in OPTIONS if option.name == name)
    expected = Expected(name, 1.0, "pilot", 0.1, np.zeros(8))
    return Choice(
        option, None if option.solved else 3e-4, None if option.solved else 8, expected, Price(seconds, 10**9)
    )


def found(*, sure: bool) -> Recommendation:
    best, other, quick = choice("partial_fine_tune_5"), choice("partial_fine_tune_3"), choice("multi_layer_probe")
    others = [quick, choice("full_fine_tune", seconds=600.0)]
    second = None if sure else quick
    return Recommendation(
        "small_different", 0.5, best, other, other, 0.6, second, others, num_tasks=8, most_images=1000
    )


def roles(*, sure: bool, minutes: float | None = None) -> dict[str, str]:
    """Option -> what stands before it."""
    console = Console(width=100, record=True)
    console.print(advice_panel(found(sure=sure), [], budget=BudgetSettings(minutes=minutes)))
    return {
        option: role.strip() for role, option in re.findall(r"^│ (.{4}) (\w+_\w+)", console.export_text(), re.MULTILINE)
    }


def test_what_to_run_and_what_comes_next_is_marked() -> None:
    assert roles(sure=True) == {
        "partial_fine_tune_5": "best",
        "partial_fine_tune_3": "next",
        "multi_layer_probe": "",
        "full_fine_tune": "",
    }
    assert roles(sure=False)["multi_layer_probe"] == "or"
    assert roles(sure=False)["partial_fine_tune_3"] == "next"


def test_what_is_beyond_the_budget_is_marked() -> None:
    assert roles(sure=True, minutes=5.0)["full_fine_tune"] == "over"


def test_commands_can_be_pasted_and_compared() -> None:
    """They choose the scenario of the cell, and leave out what only the look has a use for."""
    data = ["data=folder", "data.root=/some/my photos"]
    given = [*data, "budget.minutes=5", "+advise.max_images=99", "scenario=auto"]
    first, second = (shlex.split(command) for command in commands(found(sure=False), given))
    assert first[:5] == ["thawline", "scenario=small_different", *data, "strategy=partial_fine_tune"]
    assert second == ["thawline", "scenario=small_different", *data, "strategy=multi_layer_probe"]
    assert len(commands(found(sure=True), data)) == 1
    assert next_steps(["a", "b"], Path("outputs")).splitlines() == [
        "run     a",
        "run     b",
        "compare thawline compare outputs --metric val/accuracy   # keep the better",
    ]
    assert next_steps(["a"], Path("outputs")) == "run     a"


@pytest.mark.parametrize(
    ("cell", "scenario"),
    [("medium_similar", ["scenario=small_similar"]), ("large_similar", ["scenario=large_similar", "trainer=default"])],
)
def test_the_scenario_is_that_of_the_cell(cell: str, scenario: list[str]) -> None:
    """Between the sizes the smaller one's; the large ones stop early, so their trainer is replaced."""
    (command,) = commands(replace(found(sure=True), cell=cell), ["data=digits"])
    assert command.split()[1:].index("data=digits") == len(scenario)
    assert command.split()[1 : 1 + len(scenario)] == scenario
