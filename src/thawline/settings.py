"""Typed settings: what the configs may say, checked once before anything is loaded."""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from thawline.errors import UserError
from thawline.models.schedule import SCHEDULES

OPTIMIZERS = ("adamw", "sgd", "lbfgs")
PARAMETERS = ("all", "norm", "bias")
BATCHNORM = ("train", "eval")
TRAINER_STRATEGIES = ("auto", "ddp")
PRECISIONS = ("auto", "32-true", "bf16-mixed")


@dataclass
class StrategySettings:
    """Which stages train, and when; `models/plan.py` makes a plan of it."""

    name: str
    unfreeze_depth: int | str | None = None  # final stages that train in the end: 0 is the head only, or `all`
    stages: Any = None  # instead of the final ones: a list of numbers and names
    thaw_after: int = 0  # epochs of the head alone
    thaw_every: int = 0  # epochs from one stage's thaw to the next; 0 thaws all at once
    thaw_lr: float | None = None  # the head's rate from the thaw on
    phases: Any = None  # instead of all of these: [{from_epoch: 0, stages: [head]}, ...]
    parameters: str = "all"
    batchnorm: str = "train"
    feature_stages: Any = None  # stages whose pooled features the head reads, or `all`; None: what the last one gives
    feature_grid: int = 2
    adamw: Any = None  # the rates that conf/optim/adamw.yaml takes
    guard: bool = True
    pretrained: bool = True  # False starts from random weights whatever model.weights says

    def __post_init__(self) -> None:
        _one_of("strategy.parameters", self.parameters, PARAMETERS)
        _one_of("strategy.batchnorm", self.batchnorm, BATCHNORM)
        _between("strategy.thaw_after", self.thaw_after, 0, 1_000_000)
        _between("strategy.thaw_every", self.thaw_every, 0, 1_000_000)
        if self.thaw_lr is not None:
            _between("strategy.thaw_lr", self.thaw_lr, 0.0, 10.0)
            if self.thaw_after == 0:
                raise UserError(f"strategy.thaw_lr={self.thaw_lr}: needs a thaw; set strategy.thaw_after=EPOCHS")
        _between("strategy.feature_grid", self.feature_grid, 1, 64)


@dataclass
class OptimSettings:
    """Optimizer and schedule. `backbone_lr` None means `lr`; stage i of S gets backbone_lr * layer_decay^(S-1-i)."""

    name: str = "adamw"
    lr: float = 1e-3
    backbone_lr: float | None = None
    layer_decay: float = 1.0
    weight_decay: float = 0.05
    momentum: float = 0.9  # sgd only
    schedule: str = "cosine"
    warmup_fraction: float = 0.1  # of the steps; all schedules but plateau
    restart_at_thaw: bool = False  # begin the schedule anew, warm-up included, at every change of the freeze plan
    plateau_factor: float = 0.1  # plateau only
    plateau_patience: int = 3  # plateau only: epochs without a lower val/loss
    penalties: list[float] | None = None  # lbfgs only, which has no rate and no schedule: one epoch each

    def __post_init__(self) -> None:
        _one_of("optim.name", self.name, OPTIMIZERS)
        _one_of("optim.schedule", self.schedule, SCHEDULES)
        _between("optim.lr", self.lr, 0.0, 10.0)
        _between("optim.backbone_lr", self.resolved_backbone_lr, 0.0, 10.0)
        _between("optim.layer_decay", self.layer_decay, 0.0, 1.0)
        _between("optim.weight_decay", self.weight_decay, 0.0, 10.0)
        _between("optim.momentum", self.momentum, 0.0, 1.0)
        _between("optim.warmup_fraction", self.warmup_fraction, 0.0, 1.0)
        _between("optim.plateau_factor", self.plateau_factor, 0.0, 0.99)
        _between("optim.plateau_patience", self.plateau_patience, 0, 1_000_000)
        self._check_penalties()

    def _check_penalties(self) -> None:
        given = self.penalties
        if self.name != "lbfgs":
            if given is not None:
                raise UserError(f"optim.penalties={given}: has no effect beside {self.name}; use optim=lbfgs")
            return
        if given is None:
            raise UserError("optim.name=lbfgs: needs optim.penalties; use optim=lbfgs, which brings them")
        if not given or not all(p > 0 and math.isfinite(p) for p in given) or any(a <= b for a, b in pairwise(given)):
            raise UserError(
                f"optim.penalties={given}: a falling list of finite numbers above 0, such as [1, 0.1, 0.01]"
            )

    @property
    def epochs(self) -> int | None:
        """Where the optimizer, and not `trainer.max_epochs`, says how many."""
        return None if self.penalties is None else len(self.penalties)

    @property
    def resolved_backbone_lr(self) -> float:
        return self.lr if self.backbone_lr is None else self.backbone_lr


@dataclass
class RegularizeSettings:
    """What keeps a small data set from being learned by heart; 0 turns each off."""

    l2_sp: float = 0.0  # weight of the squared distance to the pretrained weights
    label_smoothing: float = 0.0
    mixup: float = 0.0  # alpha of the Beta distribution
    cutmix: float = 0.0  # alpha; with mixup, each batch gets one of the two
    ema_decay: float = 0.0  # of the running average of the weights that is validated and tested
    wise_ft: Any = 1.0  # share of the tuned weights in those that are tested; of a list, the best on validation

    def __post_init__(self) -> None:
        _between("regularize.l2_sp", self.l2_sp, 0.0, 1000.0)
        _between("regularize.label_smoothing", self.label_smoothing, 0.0, 0.99)
        _between("regularize.mixup", self.mixup, 0.0, 100.0)
        _between("regularize.cutmix", self.cutmix, 0.0, 100.0)
        _between("regularize.ema_decay", self.ema_decay, 0.0, 0.999999)
        if not self.wise_ft_shares:
            raise UserError("regularize.wise_ft=[]: a number from 0 to 1, or a list of them")
        for share in self.wise_ft_shares:
            if isinstance(share, bool) or not isinstance(share, (int, float)):
                raise UserError(f"regularize.wise_ft={self.wise_ft}: a number from 0 to 1, or a list of them")
            _between("regularize.wise_ft", share, 0.0, 1.0)

    @property
    def wise_ft_shares(self) -> list[float]:
        return list(self.wise_ft) if isinstance(self.wise_ft, list) else [self.wise_ft]


@dataclass
class AugmentSettings:
    """Random views of a training image. The defaults of `min_scale=1` and no flips make the transform deterministic."""

    min_scale: float = 1.0  # smallest share of the image's area that a crop keeps
    hflip: bool = False
    vflip: bool = False
    color: float = 0.0  # largest relative change of brightness, contrast and saturation
    rand_ops: int = 0  # operations of RandAugment on each image
    rand_magnitude: int = 9  # of RandAugment, from 0 to 30

    def __post_init__(self) -> None:
        _between("data.augment.rand_ops", self.rand_ops, 0, 16)
        _between("data.augment.rand_magnitude", self.rand_magnitude, 0, 30)
        _between("data.augment.min_scale", self.min_scale, 0.01, 1.0)
        _between("data.augment.color", self.color, 0.0, 1.0)


@dataclass
class CacheSettings:
    """Where the output of frozen stages is kept, so that it is computed once."""

    enabled: Any = "auto"  # true, false, or auto: where it saves time
    dir: str = "~/.cache/thawline"
    max_gb: float = 10.0  # above it the least recently used stores go first
    views: Any = "auto"  # random views of each image that are stored and cycled; auto stores none that are random

    def __post_init__(self) -> None:
        if self.enabled not in (True, False, "auto"):
            raise UserError(f"cache.enabled={self.enabled}: allowed are auto, true, false")
        if self.views != "auto" and (isinstance(self.views, bool) or not isinstance(self.views, int)):
            raise UserError(f"cache.views={self.views}: allowed are auto, or a number from 1")
        if self.views != "auto":
            _between("cache.views", self.views, 1, 1_000_000)
        _between("cache.max_gb", self.max_gb, 0.0, 1_000_000.0)


@dataclass
class LoaderSettings:
    """Splits, batches and workers. `num_workers` None takes one worker per core, or per 4 on a CPU, at most 8."""

    batch_size: int = 32
    num_workers: int | None = None
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    split_seed: int = 0
    keep_decoded: Any = "auto"  # true, false, or auto: as many images as fit in a quarter of the available memory
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    def __post_init__(self) -> None:
        _between("data.batch_size", self.batch_size, 1, 65536)
        _between("data.num_workers", self.num_workers or 0, 0, 256)
        _between("data.val_fraction", self.val_fraction, 0.01, 0.9)
        _between("data.test_fraction", self.test_fraction, 0.01, 0.9)
        _between("data.split_seed", self.split_seed, 0, 2**32 - 1)
        if self.keep_decoded not in (True, False, "auto"):
            raise UserError(f"data.keep_decoded={self.keep_decoded}: allowed are auto, true, false")
        if self.val_fraction + self.test_fraction > 0.95:
            raise UserError(
                f"data.val_fraction={self.val_fraction} and data.test_fraction={self.test_fraction} "
                "leave nothing to train on; their sum may be 0.95 at most"
            )


@dataclass
class TrainerSettings:
    """The arguments of `lightning.Trainer` that Thawline reads; others pass through unread."""

    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    num_nodes: int = 1
    precision: str = "auto"
    max_epochs: int = 10  # -1 for no bound, where max_steps gives one
    max_steps: int = -1  # -1 for no bound
    val_check_interval: int | float = 1.0  # an int counts training batches, a float is a share of an epoch
    log_every_n_steps: int = 5
    accumulate_grad_batches: int = 1
    limit_train_batches: int | float = 1.0
    limit_val_batches: int | float = 1.0
    limit_test_batches: int | float = 1.0

    def __post_init__(self) -> None:
        _between("trainer.devices", self.devices, 1, 1024)
        if self.num_nodes != 1:
            raise UserError(f"trainer.num_nodes={self.num_nodes}: this version trains on one machine; allowed is 1")
        if self.strategy not in TRAINER_STRATEGIES:
            sharding = self.strategy.startswith(("fsdp", "deepspeed"))
            why = "it shards frozen and training parameters alike; " if sharding else ""
            raise UserError(f"trainer.strategy={self.strategy}: {why}allowed are {', '.join(TRAINER_STRATEGIES)}")
        _one_of("trainer.precision", self.precision, PRECISIONS)
        if self.max_steps != -1:
            _between("trainer.max_steps", self.max_steps, 1, 1_000_000_000)
        if self.max_epochs != -1 or self.max_steps == -1:
            _between("trainer.max_epochs", self.max_epochs, 1, 1_000_000)
        _between("trainer.log_every_n_steps", self.log_every_n_steps, 1, 1_000_000)
        _between("trainer.accumulate_grad_batches", self.accumulate_grad_batches, 1, 1_000_000)
        for key in ("val_check_interval", "limit_train_batches", "limit_val_batches", "limit_test_batches"):
            _amount_or_share(f"trainer.{key}", getattr(self, key))


@dataclass
class ModelSettings:
    """The backbone by its timm name, where its weights come from, and the head's `_target_` config."""

    name: str
    weights: str
    head: dict[str, Any]
    image_size: int | None = None

    def __post_init__(self) -> None:
        _between("model.image_size", 32 if self.image_size is None else self.image_size, 8, 4096)


def _amount_or_share(key: str, value: int | float) -> None:
    if isinstance(value, float):
        if not 0.0 < value <= 1.0:
            raise UserError(f"{key}={value}: a share lies above 0 and up to 1.0; an amount is a whole number from 1")
    else:
        _between(key, value, 1, 1_000_000_000)


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(f"{key}={value}: allowed are {', '.join(allowed)}")


def _between(key: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UserError(f"{key}={value}: allowed are {low:g} to {high:g}")


@dataclass
class CostSettings:
    """What a machine costs."""

    per_hour: float | None = None  # in any currency; None tells no price

    def __post_init__(self) -> None:
        if self.per_hour is not None and not self.per_hour >= 0:
            raise UserError(f"cost.per_hour={self.per_hour}: a number from 0, or null to tell no price")
