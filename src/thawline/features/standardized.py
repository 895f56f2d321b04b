"""Features with mean 0 and standard deviation 1 in every channel, as probes are fitted on."""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Standardized:
    """Training rows with mean 0 and standard deviation 1 in every channel; made once for all penalties.

    Attributes:
        values: (N, D), float64; a channel that is constant over the rows is 0.
        mean, std: Statistics of the raw features, (D,), float64; std is 1 for a constant channel.
    """

    values: Tensor
    mean: Tensor
    std: Tensor

    @functools.cached_property
    def spanned(self) -> tuple[Tensor, Tensor | None]:
        """With more channels than rows: the rows in an orthonormal basis of their span, (N, N), and the basis (D, N).

        The best weights lie in that span (representer theorem), and a rotation does not change their norm. So the
        solution is the same, and finding it costs as much as with N channels. Otherwise `values` and None.
        """
        num_rows, num_channels = self.values.shape
        if num_channels <= num_rows:
            return self.values, None
        basis, upper = torch.linalg.qr(self.values.T)  # (D, N), (N, N)
        return upper.T.contiguous(), basis


def standardize(features: Tensor) -> Standardized:
    """Standardize features (N, D), any float type, finite, over the rows."""
    constant = features.amax(0) == features.amin(0)
    values = features.detach().to("cpu", torch.float64, copy=True)
    mean = values.mean(0)
    values -= mean
    values[:, constant.cpu()] = 0.0  # removes rounding errors
    std = torch.linalg.vector_norm(values, dim=0) / len(values) ** 0.5
    std[constant.cpu()] = 1.0
    return Standardized(values.div_(std), mean, std)
