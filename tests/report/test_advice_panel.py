"""The advice in the terminal: what is beyond the budget, and commands that can be copied."""

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
    best, other = choice("multi_layer_probe"), choice("partial_fine_tune_3")
    dear = choice("full_fine_tune", seconds=600.0)
    return Recommendation("small_different", 0.5, best, other, sure, [dear], num_tasks=8, most_images=1000)


def test_what_is_beyond_the_budget_is_marked() -> None:
    def row(minutes: float | None) -> str:
        console = Console(width=100, record=True)
        console.print(advice_panel(found(sure=True), [], budget=BudgetSettings(minutes=minutes)))
        (line,) = (line for line in console.export_text().splitlines() if "full_fine_tune" in line)
        return line

    assert "over full_fine_tune" in row(5.0)
    assert "over" not in row(None)


def test_commands_can_be_pasted_and_compared() -> None:
    data = ["data=folder", "data.root=/some/my photos"]
    first, second, compare = next_command(found(sure=False), data).splitlines()
    assert shlex.split(first)[1:] == ["python", "train.py", *data, "strategy=multi_layer_probe"]
    assert shlex.split(second)[3:6] == [*data, "strategy=partial_fine_tune"]
    assert compare.startswith("compare python scripts/compare.py outputs")
    assert len(next_command(found(sure=True), data).splitlines()) == 1
