"""A loaded model as one plain graph in fp32, which exporters can follow: uint8 pixels in, probabilities out."""

import math

import torch
from torch import Tensor, nn

from thawline.deploy.export_resize import PillowResize
from thawline.deploy.inference import InferenceModel
from thawline.features.extract import Tap
from thawline.features.readout import Readout
from thawline.models.backbone import Backbone


class ExportGraph(nn.Module):
    """uint8 images (N, S, S, 3) -> probabilities (N, K), float32: what `InferenceModel` answers, calibrated.

    It computes what the training code does without its number formats, inference mode, and fused convolutions, which no
    exporter follows. Channels come last, as in the arrays that Pillow, OpenCV and cameras give.

    Args:
        net: In fp32, and without fused stages.
        resize: Makes images (N, H, W, 3) of any size into (N, 3, S, S); None takes images that are prepared.
    """

    def __init__(self, net: InferenceModel, *, resize: PillowResize | None = None) -> None:
        super().__init__()
        assert net.precision.prefix == torch.float32, net.precision
        assert net.prefix.fused is None, "the fused form is bf16"
        self.net = net
        self.resize = resize

    def forward(self, images: Tensor) -> Tensor:
        x = images.permute(0, 3, 1, 2).float()  # (N, 3, H, W)
        if self.resize is not None:
            x = self.resize(x)
        backbone = self.net.backbone
        logits = self._logits((x / 255.0 - backbone.mean) / backbone.std)
        return (self.net.temperature * logits).softmax(1)

    def _logits(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, S, S) -> logits (N, K)."""
        net = self.net
        logits: Tensor
        if net.readout is not None:
            logits = net.head(_read(net.backbone, net.readout, x)[0])
            return logits
        if net.beside is None:
            logits = net.head(net.backbone(x))
            return logits
        beside, cut = net.beside, net.first_training
        features, rows = _read(beside.backbone, beside.readout, x, keep=cut)
        of_stack = beside.head(features).log_softmax(1) + math.log(beside.share)
        logits = net.head(net.backbone.suffix(rows, cut))
        return torch.logaddexp((beside.temperature * logits).log_softmax(1) + math.log1p(-beside.share), of_stack)


def _read(backbone: Backbone, readout: Readout, x: Tensor, *, keep: int = 0) -> tuple[Tensor, Tensor]:
    """Normalised images -> the readout's features (N, D), and the activations at cut `keep`."""
    kept, pooled = x, dict[Tap, Tensor]()
    for cut in range(1, backbone.num_stages + 1):
        x = backbone.between(x, cut - 1, cut)
        kept = x if cut == keep else kept
        here = [tap for tap in readout.taps if tap.cut == cut]
        pooled |= {tap: backbone.pool(x, grid=1 if tap.grid is None else tap.grid) for tap in here}
    return torch.cat([pooled[tap] for tap in readout.taps], 1), kept
