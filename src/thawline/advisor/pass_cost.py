"""What a backbone costs on this machine: time for an image, and the size of its weights."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from thawline.advisor.profile import GRIDS
from thawline.advisor.step_cost import shortest
from thawline.features.extract import PrefixRunner, choose_mode
from thawline.features.readout import Readout
from thawline.machine.compute import Compute
from thawline.machine.number_formats import autocast
from thawline.models.backbone import Backbone
from thawline.models.fused import fuse_where_faster

_TOGETHER = 8  # images of the batch that is timed; chosen: larger ones take longer to time, and differ by a few percent


@dataclass(frozen=True)
class PassCost:
    """Of all stages, and of the pooling that a stacked probe reads.

    Attributes:
        image_s: Seconds for an image in a batch.
        latency_s: Seconds for an image alone.
        num_bytes: Of the backbone's weights.
    """

    image_s: float
    latency_s: float
    num_bytes: int


def pass_cost(backbone: Backbone, compute: Compute) -> PassCost:
    """Time a few passes; the fastest counts, because the others may be slowed down by other work.

    The backbone is moved to the device.
    """
    device, dtype = compute.device, compute.precision.prefix
    backbone.to(device).eval()
    fused = fuse_where_faster(backbone, backbone.num_stages, dtype=dtype, device=device)
    taps = Readout.of(backbone, stages=range(backbone.num_stages), grids=GRIDS).taps
    mode = choose_mode(dtype=dtype, fused=fused is not None, compiled=False, batch_size=_TOGETHER)
    image_s, latency_s = (
        _timed(PrefixRunner(backbone, taps, replace(mode, batch_size=number), fused=fused), backbone, number) / number
        for number in (_TOGETHER, 1)
    )
    return PassCost(image_s, latency_s, weights_bytes(backbone, 0))


def suffix_latency(backbone: Backbone, compute: Compute, *, depth: int) -> float:
    """Seconds for one image in the last `depth` stages, which a blend runs twice."""
    device, cut = compute.device, backbone.num_stages - depth
    backbone.to(device).eval()
    with torch.inference_mode(), autocast(compute.precision.prefix, device):
        x = backbone.prefix(backbone.normalize(_images(backbone, 1)), cut)
        return _timed(lambda _: backbone.suffix(x, cut), backbone, 1)


def weights_bytes(backbone: Backbone, first_stage: int) -> int:
    """Bytes of the tensors of the stages from `first_stage` on."""
    below = set(backbone.prefix_tensors(first_stage))
    tensors = backbone.prefix_tensors(backbone.num_stages)
    return sum(tensor.numel() * tensor.element_size() for name, tensor in tensors.items() if name not in below)


def _timed(run: Callable[[Tensor], object], backbone: Backbone, number: int) -> float:
    """Seconds for so many images."""
    images = _images(backbone, number)

    def complete() -> None:
        run(images)
        if images.device.type != "cpu":
            torch.accelerator.synchronize()

    complete()  # not timed, because the first takes longer
    return shortest(complete)


def _images(backbone: Backbone, number: int) -> Tensor:
    size, generator = backbone.input.size, torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (number, 3, size, size), dtype=torch.uint8, generator=generator)
    return images.to(backbone.mean.device)
