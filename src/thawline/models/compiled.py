"""A function through inductor, torch's compiler; where that fails, for want of a C++ compiler for one, without."""

import logging
from collections.abc import Callable
from typing import Any

import torch

_log = logging.getLogger(__name__)
# Chosen, not measured: compiling for a GPU takes a minute or two, and may win a third of the time from then on.
_GPU_IMAGES = 300_000


def choose_compile(wanted: Any, *, device: torch.device, num_images: int) -> bool:
    """Resolve the setting `compile` for the part of the model that trains.

    `auto` compiles on a GPU where the training goes through images enough to repay it, and never on a CPU: after a
    minute of compiling a step was 3 to 25 % slower there than eager (measured with EfficientNet-Lite0, ResNet-18 and
    ViT-Tiny in bf16 on 2 AVX512-bf16 cores, torch 2.14).

    Args:
        wanted: True, False, or "auto".
        num_images: That the training goes through, repetitions counted.
    """
    return bool(device.type == "cuda" and num_images >= _GPU_IMAGES) if wanted == "auto" else bool(wanted)


class Compiled:
    """Calls `run` compiled, for the shapes of its first call; after a failure, told in one line, as it is.

    Args:
        fold_weights: Make the weights constants of the code, for a `run` that never trains.
    """

    def __init__(self, run: Callable[..., Any], *, fold_weights: bool = False) -> None:
        self._run = run
        self._made: Callable[..., Any] | None = _through_inductor(run, fold_weights=fold_weights)

    def __call__(self, *args: Any) -> Any:
        if self._made is not None:
            try:
                return self._made(*args)
            except Exception as error:  # a compiler raises what its back end raises
                _log.warning("Compiling failed (%s); going on without.", str(error).strip().splitlines()[0])
                self._made = None
        return self._run(*args)


def _through_inductor(run: Callable[..., Any], *, fold_weights: bool) -> Callable[..., Any]:
    import torch._inductor.config as inductor

    made = torch.compile(run, dynamic=False)

    def called(*args: Any) -> Any:
        with inductor.patch(freezing=fold_weights):
            return made(*args)

    return called
