"""Section `trainer`: the arguments of `lightning.Trainer` that Thawline reads."""

from dataclasses import dataclass, field
from typing import Any

from thawline.errors import UserError
from thawline.settings.checks import amount_or_share, between, one_of

TRAINER_STRATEGIES = ("auto", "ddp")
_SHARDING = ("fsdp", "deepspeed", "zero", "shard", "model_parallel", "tensor_parallel", "pipeline")  # parts of names
_NO_SHARDING = (
    "it shards frozen and training parameters alike; what is frozen needs no gradient and no optimizer state, so "
    "freeze in place of it: strategy.unfreeze_depth=4 or strategy=lora (memory of ViT-L and ViT-g: "
    "docs/transformers.md); "
)
ACCELERATORS = ("auto", "cpu", "gpu", "mps")
HALVE = "halve"
ON_OOM = (HALVE, "stop")
TEST_BEST = "test_best"
ON_DIVERGENCE = ("stop", TEST_BEST)
OF_THAWLINE = ("on_oom", "on_divergence")  # keys that `lightning.Trainer` does not know
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


@dataclass
class TrainerSettings:
    """The arguments of `lightning.Trainer` that Thawline reads.

    Attributes:
        arguments: The whole node with its `_target_`: those above but `OF_THAWLINE`, and others that pass through
            unread.
    """

    accelerator: str = "auto"
    devices: int = 1  # processes on each machine
    num_nodes: int = 1  # machines
    strategy: str = "auto"
    precision: str = "auto"
    max_epochs: int = 10  # -1 for no bound, where max_steps gives one
    max_steps: int = -1  # -1 for no bound
    val_check_interval: int | float = 1.0  # an int counts training batches, a float is a share of an epoch
    log_every_n_steps: int = 5
    accumulate_grad_batches: int = 1
    gradient_clip_val: float | None = None  # largest norm of a step's gradient; None clips none
    on_oom: str = HALVE  # where the memory does not hold a step: halve it, or stop
    on_divergence: str = "stop"  # where the loss is not finite or explodes: stop, or test the best weights so far too
    limit_train_batches: int | float = 1.0
    limit_val_batches: int | float = 1.0
    limit_test_batches: int | float = 1.0
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        between("trainer.devices", self.devices, 1, 1024)
        between("trainer.num_nodes", self.num_nodes, 1, 1024)
        if self.strategy not in TRAINER_STRATEGIES:
            why = _NO_SHARDING if any(name in self.strategy.lower() for name in _SHARDING) else ""
            raise UserError(f"trainer.strategy={self.strategy}: {why}allowed are {', '.join(TRAINER_STRATEGIES)}")
        one_of("trainer.accelerator", self.accelerator, ACCELERATORS)
        one_of("trainer.on_oom", self.on_oom, ON_OOM)
        one_of("trainer.on_divergence", self.on_divergence, ON_DIVERGENCE)
        one_of("trainer.precision", self.precision, PRECISIONS)
        if self.max_steps != -1:
            between("trainer.max_steps", self.max_steps, 1, 1_000_000_000)
        if self.max_epochs != -1 or self.max_steps == -1:
            between("trainer.max_epochs", self.max_epochs, 1, 1_000_000)
        between("trainer.log_every_n_steps", self.log_every_n_steps, 1, 1_000_000)
        if self.gradient_clip_val is not None:
            between("trainer.gradient_clip_val", self.gradient_clip_val, 0.0, 1_000_000.0)
        between("trainer.accumulate_grad_batches", self.accumulate_grad_batches, 1, 1_000_000)
        for key in ("val_check_interval", "limit_train_batches", "limit_val_batches", "limit_test_batches"):
            amount_or_share(f"trainer.{key}", getattr(self, key))

    @property
    def num_processes(self) -> int:
        """On all machines."""
        return self.devices * self.num_nodes

    @property
    def processes_given(self) -> str:
        """As the user would write it."""
        nodes = f" trainer.num_nodes={self.num_nodes}" if self.num_nodes > 1 else ""
        return f"trainer.devices={self.devices}{nodes}"
