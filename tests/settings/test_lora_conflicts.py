"""What adapters cannot go with is one line, before anything is loaded."""

from types import SimpleNamespace
from typing import Any

import pytest

from thawline.errors import UserError
from thawline.settings.lora_conflicts import refuse_beside_adapters
from thawline.settings.lora_settings import LoraSettings
from thawline.settings.regularize_settings import RegularizeSettings
from thawline.settings.strategy_settings import StrategySettings


def refuse(regularize: dict[str, Any] | None = None, **strategy: Any) -> None:
    given = {"parameters": "lora", "batchnorm": "eval", "lora": LoraSettings()} | strategy
    settings: Any = SimpleNamespace(
        strategy=StrategySettings("lora", **given), regularize=RegularizeSettings(**regularize or {})
    )
    refuse_beside_adapters(settings)


def test_adapters_alone_and_strategies_without_them_pass() -> None:
    refuse()
    refuse(parameters="bias", batchnorm="train", lora=None, stack_share=0.5)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"lora": None}, "strategy.parameters=lora: adapters take .* use strategy=lora"),
        ({"parameters": "all"}, "strategy.parameters=all: adapters take .* use strategy=lora"),
        ({"batchnorm": "train"}, "set strategy.batchnorm=eval"),
        ({"stack_share": 0.5}, "strategy.stack_share=0.5: not possible beside adapters"),
        ({"feature_stages": "all"}, "strategy.feature_stages=all: not possible beside adapters"),
        ({"regularize": {"l2_sp": 0.1}}, "regularize.l2_sp=0.1: not possible beside adapters"),
        ({"regularize": {"wise_ft": [0.5, 1.0]}}, "a lower strategy.lora.alpha takes less of them"),
    ],
)
def test_what_would_mean_something_else_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        refuse(**given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rank": 0}, "strategy.lora.rank=0: allowed are 1 to 4096"),
        ({"dropout": 1.0}, "strategy.lora.dropout=1.0: allowed are 0 to 0.9"),
        ({"modules": "qkv"}, "strategy.lora.modules=qkv: write auto, or a list"),
        ({"modules": []}, r"strategy.lora.modules=\[\]: write auto, or a list"),
    ],
)
def test_values_out_of_range_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        LoraSettings(**given)
