"""What conf/ shows to the user is what the settings take by themselves."""

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from thawline.advisor.choices import BATCH_SIZE, HEAD_LR, USUAL_RATE
from thawline.settings.advise_settings import AdviseSettings, BudgetSettings
from thawline.settings.cache_settings import CacheSettings
from thawline.settings.cost_settings import CostSettings
from thawline.settings.data_settings import LoaderSettings
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.regularize_settings import RegularizeSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.settings.sweep_settings import SweepSettings
from thawline.settings.trainer_settings import TrainerSettings

CONF = Path(__file__).resolve().parents[2] / "conf"
FROM_THE_STRATEGY = {"lr", "backbone_lr"}  # of conf/optim/adamw.yaml


def conf(name: str, section: str | None = None) -> dict[str, Any]:
    body = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    assert isinstance(body, dict)
    return body[section] if section else body  # type: ignore[index, return-value]


@pytest.mark.parametrize(
    ("kind", "name", "section"),
    [
        (CacheSettings, "train", "cache"),
        (CacheSettings, "advise", "cache"),
        (SweepSettings, "train", "sweep"),
        (CostSettings, "train", "cost"),
        (AdviseSettings, "train", "advise"),
        (AdviseSettings, "advise", "advise"),
        (BudgetSettings, "train", "budget"),
        (BudgetSettings, "advise", "budget"),
        (StrategySettings, "train", "strategy"),
        (LoaderSettings, "loader/default", None),
        (OptimSettings, "optim/adamw", None),
        (RegularizeSettings, "regularize/none", None),
        (TrainerSettings, "trainer/default", None),
        (TrainerSettings, "advise", "trainer"),
    ],
)
def test_defaults_agree(kind: type[Any], name: str, section: str | None) -> None:
    defaults = {f.name: f.default for f in fields(kind) if f.default is not MISSING}
    shown = {key: value for key, value in conf(name, section).items() if key in defaults}
    shown = {key: value for key, value in shown.items() if key not in FROM_THE_STRATEGY and key != "adamw"}
    assert shown
    assert shown == {key: defaults[key] for key in shown}


def test_the_advisor_trains_as_the_strategy_does() -> None:
    rates = conf("strategy/blend", "strategy")["adamw"]
    assert (rates["lr"], rates["backbone_lr"], LoaderSettings().batch_size) == (HEAD_LR, USUAL_RATE, BATCH_SIZE)
