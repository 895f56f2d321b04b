"""Every section of a config, checked."""

from dataclasses import dataclass, replace
from typing import Any

from thawline.settings.advise_settings import AdviseSettings, BudgetSettings
from thawline.settings.cache_settings import CacheSettings
from thawline.settings.cost_settings import CostSettings
from thawline.settings.data_settings import LoaderSettings
from thawline.settings.model_settings import ModelSettings
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.projector_setting import DEFAULT_PROJECTED
from thawline.settings.regularize_settings import RegularizeSettings
from thawline.settings.select_setting import resolve_select
from thawline.settings.strategy_settings import StrategySettings
from thawline.settings.sweep_settings import SweepSettings
from thawline.settings.trainer_settings import HALVE, TrainerSettings


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
        threads: Of torch on a CPU: a number, "auto" or "follow".
        tested_weights: One of `TESTED_WEIGHTS`.
        imbalance: One of `IMBALANCE`.
        select: One of `SELECT`.
        loggers: Of `LOGGERS`, at least one.
        projector: Test images in TensorBoard's projector, at most.
    """

    strategy: StrategySettings
    optim: OptimSettings
    regularize: RegularizeSettings
    sweep: SweepSettings
    cost: CostSettings
    callbacks: dict[str, dict[str, Any]]
    compile: Any
    threads: int | str
    tested_weights: str
    loggers: tuple[str, ...]
    imbalance: str
    select: str
    projector: int = DEFAULT_PROJECTED

    def with_views(self, *, all_train: bool) -> "Settings":
        """With `data.augment.enabled=auto` resolved.

        Where stages stay frozen, every epoch shows the same view of an image, so that what these stages compute is
        stored once; unless `cache.views` asks for random views that are stored. Where every stage trains, nothing can
        be stored, and the views are random. Measured in docs/defaults.md.

        Args:
            all_train: Whether no stage of the backbone stays frozen throughout.
        """
        augment = self.loader.augment
        if augment.enabled != "auto":
            return self
        enabled = all_train or self.cache.views != "auto"
        return replace(self, loader=replace(self.loader, augment=replace(augment, enabled=enabled)))

    @property
    def selected(self) -> str:
        """`select`, resolved: the score by which weights are best."""
        return resolve_select(self.select, tested_weights=self.tested_weights, imbalance=self.imbalance)

    @property
    def halves_steps(self) -> bool:
        """Whether a step that the memory does not hold is halved.

        A solver takes one step over all images. Several processes wait for each other in the backward pass, which
        they must begin equally often.
        """
        return self.trainer.on_oom == HALVE and not self.optim.solves and self.trainer.num_processes == 1

    @property
    def weights(self) -> str:
        """Where the backbone's weights come from; `none` for random ones."""
        return self.model.weights if self.strategy.pretrained else "none"
