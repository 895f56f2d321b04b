"""Every section of a run's config."""

from dataclasses import dataclass
from typing import Any

from thawline.settings.cache_settings import CacheSettings
from thawline.settings.cost_settings import CostSettings
from thawline.settings.data_settings import LoaderSettings
from thawline.settings.model_settings import ModelSettings
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.regularize_settings import RegularizeSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.settings.sweep_settings import SweepSettings
from thawline.settings.trainer_settings import TrainerSettings


@dataclass(frozen=True)
class Settings:
    """Every section of the config, checked."""

    strategy: StrategySettings
    optim: OptimSettings
    model: ModelSettings
    loader: LoaderSettings
    trainer: TrainerSettings
    regularize: RegularizeSettings
    cache: CacheSettings
    sweep: SweepSettings
    cost: CostSettings
    compile: Any
