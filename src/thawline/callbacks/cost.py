"""Measures a run's cost: time, memory, FLOPs, energy."""

import contextlib
import time
from dataclasses import asdict
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from thawline.machine.energy import EnergyMeter
from thawline.machine.memory import peak_resident_bytes, start_counting_peak
from thawline.machine.run_cost import Cost
from thawline.models.flops import flop_formulas
from thawline.models.saved_bytes import count_saved_bytes

_RESUMED_COUNTS = ("_counted", "_step_flops", "_train_s", "_timed_images")  # attributes that a checkpoint holds


def optimizer_state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Bytes of all tensors in the optimizer's state."""
    tensors = (v for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor))
    return sum(t.numel() * t.element_size() for t in tensors)


def peak_memory_bytes(device: torch.device) -> int:
    """Highest memory use of this run so far: allocated memory on a GPU, resident memory of this process on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return peak_resident_bytes()


class CostCallback(L.Callback):
    """Fills a `Cost`. Only the first training step of every phase of the freeze plan has its FLOPs and saved
    activations counted. A resumed run goes on from the numbers in its checkpoint.

    Args:
        start: `time.perf_counter()` at the start of the run; None for now.
        energy: A meter that counts since the start.
        counts_steps: Whether steps are counted. A solver's are not: it takes one over everything, in many small
            operations, and to count each would take longer than to compute it.
    """

    def __init__(
        self, *, start: float | None = None, energy: EnergyMeter | None = None, counts_steps: bool = True
    ) -> None:
        self.cost = Cost()
        self._start = time.perf_counter() if start is None else start
        self._energy = energy or EnergyMeter([])
        self._counts_steps = counts_steps
        self._energy_before: float | None = None  # joules before the run was resumed
        self._counted: list[str] = []  # names of the parameters that trained in the last counted step
        self._counted_limit: int | None = None
        self._step_flops = 0
        self._forward_flops = 0
        self._batch_start = 0.0
        self._train_s = 0.0
        self._timed_images = 0
        self._counting = False
        self._compiled_for = set[int]()  # sizes of batches
        self._fit_start = 0.0
        self._fit_before_s = 0.0
        self._counters = contextlib.ExitStack()

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._fit_start = time.perf_counter()
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)
        else:
            start_counting_peak()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._batch_start = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if not self._counts_steps:
            return
        if batch_idx == 0 or self._limit(pl_module) != self._counted_limit:
            training = [name for name, p in pl_module.named_parameters() if p.requires_grad]
            self._counting = training != self._counted or self._limit(pl_module) != self._counted_limit
            self._counted, self._counted_limit = training, self._limit(pl_module)
        if self._counting:
            self._flops = self._counters.enter_context(FlopCounterMode(display=False, custom_mapping=flop_formulas()))
            self._saved = self._counters.enter_context(count_saved_bytes(pl_module.parameters()))

    def _compiled_in_it(self, pl_module: L.LightningModule, num_images: int) -> bool:
        """Whether this step compiled the stages that train: the first with so many images since others train."""
        if not getattr(pl_module, "compiles", False) or num_images in self._compiled_for:
            return False
        self._compiled_for.add(num_images)
        return True

    @staticmethod
    def _limit(pl_module: L.LightningModule) -> int | None:
        """Images of a step's part; a step in which the memory ended was computed more than once, and counts so."""
        parts = getattr(pl_module, "in_parts", None)
        return None if parts is None else parts.limit

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        if self._counting:
            self._forward_flops = self._flops.get_total_flops()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if self._counting:  # a counted step is slower, so its time does not count
            self._counters.close()
            self._counting = False
            counted = self._flops.get_total_flops()
            self._step_flops = counted * trainer.world_size
            self.cost.forward_flops = self._forward_flops / len(batch[1])
            self.cost.backward_flops = (counted - self._forward_flops) / len(batch[1])
            self.cost.saved_activation_bytes = max(self.cost.saved_activation_bytes, self._saved[0])
            self._compiled_for.clear()
        elif not self._compiled_in_it(pl_module, len(batch[1])):
            self._train_s += now - self._batch_start
            self._timed_images += len(batch[1]) * trainer.world_size
        self.cost.train_flops += self._step_flops
        self._batch_start = now

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._batch_start = time.perf_counter()
        self._joules()  # must be called in every span of the counters; see `EnergyMeter`

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        cost = self.cost
        cost.fit_s = self._elapsed()
        cost.images_per_s = self._timed_images / self._train_s if self._train_s else 0.0
        cost.optimizer_state_bytes = sum(optimizer_state_bytes(o) for o in trainer.optimizers)
        cost.peak_memory_bytes = max(cost.peak_memory_bytes, peak_memory_bytes(pl_module.device))

    def settle(self, *, tested_since: float, cache_s: float, per_hour: float | None) -> Cost:
        """Fill in the times, energy and price of a run that has ended.

        Args:
            tested_since: `time.perf_counter()` at the end of the fit.
        """
        cost, ended = self.cost, time.perf_counter()
        cost.wall_s, cost.test_s, cost.cache_s = self._fit_before_s + ended - self._start, ended - tested_since, cache_s
        cost.setup_s = self._fit_start - self._start - cache_s
        cost.energy_j = self._joules()
        cost.price = None if per_hour is None else per_hour * cost.wall_s / 3600
        return cost

    def _joules(self) -> float | None:
        now = self._energy.joules()
        return now if self._energy_before is None or now is None else self._energy_before + now

    def _elapsed(self) -> float:
        return self._fit_before_s + time.perf_counter() - self._fit_start

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._counters.close()

    def state_dict(self) -> dict[str, Any]:
        so_far = {"cost": asdict(self.cost), "elapsed_s": self._elapsed(), "energy_j": self._joules()}
        return {**so_far, **{key: getattr(self, key) for key in _RESUMED_COUNTS}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.cost = Cost(**state_dict["cost"])
        self._fit_before_s, self._energy_before = state_dict["elapsed_s"], state_dict["energy_j"]
        for key in _RESUMED_COUNTS:
            setattr(self, key, state_dict[key])
