"""The advice in the terminal: what is beyond the budget, and commands that can be copied."""

import re
import shlex

import pytest
from rich.console import Console

from thawline.advisor.choices import Choice, Price, Recommendation
from thawline.features.expected import Expected
from thawline.report.advice_panel import advice_panel, commands, next_steps
from thawline.settings.advise_settings import BudgetSettings

STACK = Choice("stacked_probe", 0, None, None, Price(8.0, 10**9), Expected(0.7312, 0.70, 0.76, 680, "leave-one-out"))
BLEND = Choice("blend", 3, 3e-4, 8, Price(150.0, 2 * 10**9), None)


def advice(best: Choice = BLEND, cell: str = "small_different") -> Recommendation:
    return Recommendation(cell, 0.5, best, [STACK, BLEND])


def shown(best: Choice, minutes: float | None = None) -> str:
    console = Console(width=100, record=True)
    console.print(advice_panel(advice(best), ["Because."], budget=BudgetSettings(minutes=minutes)))
    return console.export_text()


def rows(text: str) -> dict[str, str]:
    """Strategy -> what stands before it."""
    return {
        name: role.strip() for role, name in re.findall(r"^│ (.{0,7}?) *(stacked_probe|blend_3)", text, re.MULTILINE)
    }


def arguments(command: str) -> list[str]:
    """Without the name of the command."""
    return [word for word in shlex.split(command) if "=" in word]


def test_what_to_run_and_what_is_beyond_the_budget_is_marked() -> None:
    assert rows(shown(BLEND)) == {"stacked_probe": "", "blend_3": "run"}
    assert rows(shown(STACK, minutes=1.0)) == {"stacked_probe": "run", "blend_3": "beyond"}


@pytest.mark.parametrize("says", ["0.731 (0.70 to 0.76)", "a run tells", "8 s", "2 min", "2.0 GB", "- Because."])
def test_numbers_and_reasons_are_shown(says: str) -> None:
    assert says in shown(BLEND)


def test_commands_keep_what_was_typed_and_can_be_copied() -> None:
    typed = ["data=folder", "data.root=/a b", "advise.max_images=100", "budget.minutes=5", "scenario=auto"]
    alone, anytime = commands(advice(), typed)
    assert arguments(alone) == [
        "scenario=small_different", "data=folder", "data.root=/a b", "strategy=blend",
        "strategy.unfreeze_depth=3", "optim.lr=0.001", "optim.backbone_lr=0.0003", "trainer.max_epochs=8",
    ]  # fmt: skip
    assert arguments(anytime) == ["scenario=auto", "data=folder", "data.root=/a b"]
    assert next_steps([alone, anytime]).splitlines()[0] == f"run     {alone}"


def test_large_data_is_not_bounded() -> None:
    alone, _ = commands(advice(STACK, cell="large_similar"), [])
    assert arguments(alone) == ["scenario=large_similar", "trainer=default", "strategy=stacked_probe"]
