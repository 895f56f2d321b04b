"""Run a frozen prefix once, as fast as the hardware allows, for activations and pooled features at several cuts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from thawline.machine.number_formats import autocast
from thawline.models.backbone import Backbone
from thawline.models.compiled import Compiled
from thawline.models.fused import FusedPrefix

Style = Literal["eager", "fused", "compiled"]
_BATCH = 64


@dataclass(frozen=True)
class Tap:
    """An output of the pass.

    Attributes:
        cut: 1 to num_stages.
        grid: None for the activations at the cut; g for their averages over the cells of a g x g grid on the image;
            `CLASS_TOKEN` for the class token.
    """

    cut: int
    grid: int | None = None


@dataclass(frozen=True)
class Mode:
    """How the prefix computes. It is part of a store's key, because each mode rounds differently.

    Attributes:
        batch_size: Images that are computed together. In fp32 the last bits may depend on it.
    """

    dtype: torch.dtype
    style: Style = "eager"
    batch_size: int = _BATCH

    def __str__(self) -> str:
        batch = f", batches of {self.batch_size}" if self.dtype == torch.float32 else ""
        return f"{str(self.dtype).removeprefix('torch.')}, {self.style}{batch}"


def choose_mode(*, dtype: torch.dtype, fused: bool, compiled: bool, batch_size: int, together: int = _BATCH) -> Mode:
    """In bf16 and fp16 the fastest mode; in fp32 the mode that computes exactly as in training.

    Args:
        fused: Whether the prefix has a fused form.
        compiled: Whether it is compiled if it has none; from `compiles_pass`.
        batch_size: The batch size of training.
        together: Images that are computed together where the numbers do not depend on it; from `pass_batch`.
    """
    if dtype == torch.float32:
        return Mode(dtype, "eager", batch_size)
    if fused:
        return Mode(dtype, "fused", together)
    return Mode(dtype, "compiled" if compiled else "eager", together)


_Run = Callable[[Tensor], list[Tensor]]


class PrefixRunner:
    """uint8 images (B, 3, S, S) -> (B, *row) at every tap: activations in their own type, pooled features in fp32.

    The backbone must be in eval mode.

    Args:
        fused: Needed where the mode's style is `fused`.
    """

    def __init__(
        self, backbone: Backbone, taps: Sequence[Tap], mode: Mode, *, fused: FusedPrefix | None = None
    ) -> None:
        assert taps, "no taps"
        assert mode.style != "fused" or (fused is not None and fused.cut >= max(tap.cut for tap in taps)), mode
        self.backbone = backbone
        self.taps = tuple(taps)
        self.mode = mode
        self.fused = fused if mode.style == "fused" else None
        self._last = max(tap.cut for tap in taps)
        self._filled = mode.batch_size
        self._pass: _Run = Compiled(self._run, fold_weights=True) if mode.style == "compiled" else self._run

    def __call__(self, images: Tensor) -> list[Tensor]:
        num_images = images.shape[0]  # len() would make the batch size a constant in an exported model
        if self.mode.style == "compiled" or self.mode.dtype == torch.float32:
            # Outside inference mode: a tensor that was made inside it would be compiled for once more.
            images = _filled_up(images, self._filled)
        with torch.inference_mode():
            return [rows[:num_images] for rows in self._pass(images)]

    def use_batches_of(self, size: int) -> None:
        """Where the memory holds no more. In fp32 the last bits may then differ from those of `mode`."""
        self._filled = size

    def _run(self, images: Tensor) -> list[Tensor]:
        model, normalize = self.backbone.model, self.backbone.normalize
        if self.fused is not None:
            model, normalize = self.fused.model, self.fused.normalize
        rows: dict[Tap, Tensor] = {}
        with autocast(self.mode.dtype, images.device):
            x = normalize(images)
            for cut, stage in enumerate(self.backbone.stages[: self._last], start=1):
                x = stage.forward(model, x)
                grids = [tap.grid for tap in self.taps if tap.cut == cut and tap.grid is not None]
                if grids:
                    rows |= {Tap(cut, grid): pooled for grid, pooled in self.backbone.pools(x, grids).items()}
                if Tap(cut) in self.taps:
                    rows[Tap(cut)] = x
        return [rows[tap] for tap in self.taps]


def _filled_up(images: Tensor, size: int) -> Tensor:
    """Repeat the last image until the batch has `size`: compiled code takes one size, and rounding may depend on it."""
    missing = size - images.shape[0]
    return torch.cat([images, images[-1:].expand(missing, -1, -1, -1)]) if missing > 0 else images
