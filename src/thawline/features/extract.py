"""A frozen prefix run as fast as the hardware allows: activations at chosen cuts, from one pass."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from thawline.models.backbone import Backbone

_log = logging.getLogger(__name__)
# Measured with EfficientNet-Lite0 at 224 on 2 AVX512-bf16 cores: eager 140 images/s, compiled 290 after 7 s of
# compiling. Below this many images the compiling takes longer than it saves.
COMPILE_FROM = 2000


@dataclass(frozen=True)
class Mode:
    """How the prefix computes. Part of a store's key: each mode rounds in its own way."""

    dtype: torch.dtype
    compiled: bool

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')}, {'compiled' if self.compiled else 'eager'}"


def choose_mode(num_images: int, *, dtype: torch.dtype) -> Mode:
    """Compile where there are images enough to repay it."""
    return Mode(dtype, compiled=num_images >= COMPILE_FROM)


Run = Callable[[Tensor], list[Tensor]]


class PrefixRunner:
    """uint8 images (B, 3, S, S) -> activations at every cut, (B, *row) each, in the type in which they come.

    The backbone must be in eval mode. Where compiling fails, for want of a C++ compiler for one, it goes on without.

    Args:
        cuts: Rising, each from 1 to num_stages.
    """

    def __init__(self, backbone: Backbone, cuts: Sequence[int], mode: Mode) -> None:
        assert list(cuts) == sorted(set(cuts)), cuts
        assert cuts[0] >= 1, cuts
        self.backbone = backbone
        self.cuts = tuple(cuts)
        self.mode = mode
        self._compiled: Run | None = _compile(self._run) if mode.compiled else None
        self._size = 0  # of the batches that the compiled code takes

    def __call__(self, images: Tensor) -> list[Tensor]:
        if self._compiled is not None:
            full = self._filled_up(images)  # outside inference mode, or its result would be compiled for anew
            try:
                with torch.inference_mode():
                    return [activations[: len(images)] for activations in self._compiled(full)]
            except Exception as error:  # a compiler raises what its back end raises
                _log.warning("Compiling failed (%s); going on without.", str(error).strip().splitlines()[0])
                self._compiled = None
        with torch.inference_mode():
            return self._run(images)

    def _filled_up(self, images: Tensor) -> Tensor:
        """A last, smaller batch is filled up: another size would be compiled anew."""
        self._size = max(self._size, len(images))
        missing = self._size - len(images)
        return torch.cat([images, images[-1:].expand(missing, -1, -1, -1)]) if missing else images

    def _run(self, images: Tensor) -> list[Tensor]:
        low = self.mode.dtype != torch.float32
        found = []
        with torch.autocast(images.device.type, dtype=self.mode.dtype if low else torch.bfloat16, enabled=low):
            x = self.backbone.normalize(images)
            for number, stage in enumerate(self.backbone.stages[: self.cuts[-1]], start=1):
                x = stage.forward(self.backbone.model, x)
                if number in self.cuts:
                    found.append(x)
        return found


def _compile(run: Run) -> Run:
    """`run` through inductor, with the weights folded into its code."""
    import torch._inductor.config as inductor

    made = torch.compile(run, dynamic=False)

    def frozen(images: Tensor) -> list[Tensor]:
        with inductor.patch(freezing=True):
            return made(images)

    return frozen
