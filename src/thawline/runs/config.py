"""Hydra config -> typed settings: resolved once, then every section checked."""

from typing import Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf

from thawline.errors import UserError
from thawline.machine.processes import threads_in_environment
from thawline.settings.advise_settings import AdviseSettings, BudgetSettings
from thawline.settings.cache_settings import CacheSettings
from thawline.settings.cost_settings import CostSettings
from thawline.settings.data_settings import AugmentSettings, LoaderSettings
from thawline.settings.imbalance_setting import checked_imbalance
from thawline.settings.logger_setting import checked_loggers
from thawline.settings.model_settings import ModelSettings
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.projector_setting import DEFAULT_PROJECTED, checked_projector
from thawline.settings.regularize_settings import RegularizeSettings
from thawline.settings.run_settings import LookSettings, Settings
from thawline.settings.select_setting import checked_select
from thawline.settings.strategy_settings import StrategySettings
from thawline.settings.sweep_settings import SweepSettings
from thawline.settings.tested_weights_setting import checked_tested_weights
from thawline.settings.trainer_settings import OF_THAWLINE, TrainerSettings

_T = TypeVar("_T")


_LARGEST_SEED = 2**32 - 1  # NumPy's
_MOST_THREADS = 1024  # chosen: above it a number is a mistake
_REFUSED_TRAINER_KEYS = {
    **dict.fromkeys(("callbacks", "default_root_dir", "num_sanity_val_steps"), "Thawline sets it"),
    "logger": "use logger=tensorboard, csv, mlflow, wandb, or several as a list",
    **dict.fromkeys(("enable_model_summary", "enable_progress_bar", "enable_checkpointing"), "Thawline sets it"),
    "fast_dev_run": "it leaves no checkpoint; use trainer.max_steps=2",
    "use_distributed_sampler": "Thawline gives every process its own batches",
    "overfit_batches": "it replaces the sampler; use +trainer.limit_train_batches=N data.augment=none",
    "check_val_every_n_epoch": "every epoch is validated; use trainer.val_check_interval",
}


def settings_of(cfg: DictConfig) -> Settings:
    """Check every section of a resolved config; the first thing wrong is told."""
    return Settings(
        **vars(look_settings(cfg)),
        strategy=strategy_settings(cfg),
        optim=optim_settings(cfg),
        regularize=regularize_settings(cfg),
        sweep=sweep_settings(cfg),
        cost=cost_settings(cfg),
        callbacks={key: node for key, node in _plain(cfg.callbacks).items() if node is not None},
        compile=compile_setting(cfg),
        threads=threads_setting(cfg),
        tested_weights=checked_tested_weights(str(cfg.tested_weights)),
        loggers=checked_loggers(_plain(cfg.logger) if OmegaConf.is_list(cfg.logger) else cfg.logger),
        projector=checked_projector(cfg.get("projector", DEFAULT_PROJECTED)),  # runs of before had none
        imbalance=checked_imbalance(str(cfg.imbalance)),
        select=checked_select(str(cfg.select)),
    )


def look_settings(cfg: DictConfig) -> LookSettings:
    """Check the sections that conf/advise.yaml has."""
    return LookSettings(
        seed=seed_setting(cfg),
        output_dir=str(cfg.output_dir),
        source=_plain(cfg.data.source),
        loader=loader_settings(cfg),
        model=model_settings(cfg),
        trainer=trainer_settings(cfg),
        cache=cache_settings(cfg),
        advise=advise_settings(cfg),
        budget=budget_settings(cfg),
    )


def strategy_settings(cfg: DictConfig) -> StrategySettings:
    return _typed(StrategySettings, cfg.strategy, "strategy")


def regularize_settings(cfg: DictConfig) -> RegularizeSettings:
    return _typed(RegularizeSettings, cfg.regularize, "regularize")


def optim_settings(cfg: DictConfig) -> OptimSettings:
    if cfg.optim.lr is None:
        raise UserError("optim.lr has no value; give one with optim.lr=VALUE (the strategies' rates are AdamW's)")
    return _typed(OptimSettings, cfg.optim, "optim")


def model_settings(cfg: DictConfig) -> ModelSettings:
    head = cfg.model.get("head")
    if not OmegaConf.is_dict(head) or "_target_" not in head:
        raise UserError(
            f"model.head={head}: choose a head with model/head=linear, mlp or cosine, or set model.head._target_"
        )
    return _typed(ModelSettings, cfg.model, "model")


def trainer_settings(cfg: DictConfig) -> TrainerSettings:
    """The trainer keys that Thawline reads; keys that it sets itself, or that break its promises, are refused."""
    for key in _REFUSED_TRAINER_KEYS:
        if key in cfg.trainer:
            raise UserError(f"trainer.{key}={cfg.trainer[key]}: {_REFUSED_TRAINER_KEYS[key]}; remove it")
    known = {key: cfg.trainer[key] for key in TrainerSettings.__dataclass_fields__ if key in cfg.trainer}
    settings = _typed(TrainerSettings, OmegaConf.create(known), "trainer")
    settings.arguments = {key: value for key, value in _plain(cfg.trainer).items() if key not in OF_THAWLINE}
    return settings


def seed_setting(cfg: DictConfig) -> int:
    seed = cfg.seed
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= _LARGEST_SEED:
        raise UserError(f"seed={seed}: allowed are whole numbers from 0 to {_LARGEST_SEED}")
    return seed


def compile_setting(cfg: DictConfig) -> Any:
    if not isinstance(cfg.compile, bool) and cfg.compile != "auto":
        raise UserError(f"compile={cfg.compile}: allowed are auto, true, false")
    return cfg.compile


def threads_setting(cfg: DictConfig) -> int | str:
    threads = cfg.get("threads", "auto")  # runs of before had none
    whole = isinstance(threads, int) and not isinstance(threads, bool)
    if threads not in ("auto", "follow") and not (whole and 1 <= threads <= _MOST_THREADS):
        raise UserError(f"threads={threads}: allowed are auto, follow, or a number from 1 to {_MOST_THREADS}")
    if not whole and cfg.trainer.get("deterministic") and not threads_in_environment():
        return 1  # with another number sums are rounded in another order
    return cast("int | str", threads)


def loader_settings(cfg: DictConfig) -> LoaderSettings:
    """The keys of `data` that every source shares; `data.augment` none or null means the deterministic transform."""
    shared = {key: cfg.data[key] for key in LoaderSettings.__dataclass_fields__ if key in cfg.data}
    if shared.get("augment", "none") in (None, "none"):
        shared["augment"] = OmegaConf.structured(AugmentSettings())
    elif not OmegaConf.is_dict(shared["augment"]):
        raise UserError(
            f"data.augment={shared['augment']}: write data.augment=none, or set data.augment.min_scale and others"
        )
    return _typed(LoaderSettings, OmegaConf.create(shared), "data")


def advise_settings(cfg: DictConfig) -> AdviseSettings:
    return _typed(AdviseSettings, cfg.get("advise") or {}, "advise")  # runs of before had none


def budget_settings(cfg: DictConfig) -> BudgetSettings:
    return _typed(BudgetSettings, cfg.get("budget") or {}, "budget")  # runs of before had none


def cache_settings(cfg: DictConfig) -> CacheSettings:
    return _typed(CacheSettings, cfg.cache, "cache")


def cost_settings(cfg: DictConfig) -> CostSettings:
    return _typed(CostSettings, cfg.get("cost") or {}, "cost")  # runs of before had none


def sweep_settings(cfg: DictConfig) -> SweepSettings:
    return _typed(SweepSettings, cfg.get("sweep") or {}, "sweep")  # runs of before had none


def _plain(node: Any) -> Any:
    """A node as dicts and lists."""
    return OmegaConf.to_container(node)


def _typed(kind: type[_T], section: Any, prefix: str) -> _T:
    """Check the types of a section's values; OmegaConf's error then names the full key and the value given."""
    schema = OmegaConf.create({prefix: OmegaConf.structured(kind)})
    merged = OmegaConf.merge(schema, {prefix: section})
    return cast(_T, OmegaConf.to_object(merged[prefix]))  # type: ignore[index]
