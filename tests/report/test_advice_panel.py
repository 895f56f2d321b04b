"""The advice in the terminal: what is beyond the budget, and commands that can be copied."""

import re
import shlex

import numpy as np
from rich.console import Console

from thawline.advisor.experience import Expected
from thawline.advisor.options import OPTIONS
from thawline.advisor.recommend import Choice, Price, Recommendation
from thawline.advisor.settings import BudgetSettings
from thawline.report.advice_panel import advice_panel, next_command


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
    return Recommendation("small_different", 0.5, best, other, sure, second, others, num_tasks=8, most_images=1000)


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
    data = ["data=folder", "data.root=/some/my photos"]
    first, second, compare = next_command(found(sure=False), data).splitlines()
    assert shlex.split(first)[1:6] == ["python", "train.py", *data, "strategy=partial_fine_tune"]
    assert shlex.split(second)[1:] == ["python", "train.py", *data, "strategy=multi_layer_probe"]
    assert compare.startswith("compare python scripts/compare.py outputs")
    assert len(next_command(found(sure=True), data).splitlines()) == 1
