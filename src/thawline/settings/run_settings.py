"""Every section of a config, checked."""

from dataclasses import dataclass
from typing import Any

from thawline.settings.advise_settings import AdviseSettings, BudgetSettings
from thawline.settings.cache_settings import CacheSettings
from thawline.settings.cost_settings import CostSettings
from thawline.settings.data_settings import LoaderSettings
from thawline.settings.model_settings import ModelSettings
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.regularize_settings import RegularizeSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.settings.sweep_settings import SweepSettings
from thawline.settings.trainer_settings import TrainerSettings


@dataclass(frozen=True, kw_only=True)
class LookSettings:
    """What a look at the images needs; conf/advise.yaml has these sections only.

    Attributes:
        source: The node of the data source, with its `_target_`.
    """

    seed: int
    output_dir: str
    source: dict[str, Any]
    loader: LoaderSettings
    model: ModelSettings
    trainer: TrainerSettings
    cache: CacheSettings
    advise: AdviseSettings
    budget: BudgetSettings


@dataclass(frozen=True, kw_only=True)
class Settings(LookSettings):
    """What a run needs; conf/train.yaml.

    Attributes:
        callbacks: Nodes of further callbacks, by name.
        compile: True, False or "auto".
    """

    strategy: StrategySettings
    optim: OptimSettings
    regularize: RegularizeSettings
    sweep: SweepSettings
    cost: CostSettings
    callbacks: dict[str, dict[str, Any]]
    compile: Any

    @property
    def weights(self) -> str:
        """Where the backbone's weights come from; `none` for random ones."""
        return self.model.weights if self.strategy.pretrained else "none"
