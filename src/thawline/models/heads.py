"""Replaceable heads: features (B, D) -> logits (B, K)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LinearHead(nn.Linear):
    """One linear layer with zero weights at the start, because the gradients of a random head distort the backbone.

    Source: Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution".
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__(num_features, num_classes)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class MLPHead(nn.Sequential):
    """Linear, GELU, dropout, linear.

    Args:
        hidden: Width of the hidden layer.
        dropout: Probability of dropping a hidden unit.
    """

    def __init__(self, num_features: int, num_classes: int, *, hidden: int = 256, dropout: float = 0.1) -> None:
        super().__init__(
            nn.Linear(num_features, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, num_classes)
        )


class CosineHead(nn.Module):
    """Logits are `scale` times the cosine between the features and one learned direction per class.

    Args:
        scale: Initial value of the learned factor; logits lie in [-scale, scale].
    Source: Gidaris and Komodakis 2018, "Dynamic Few-Shot Visual Learning without Forgetting".
    """

    def __init__(self, num_features: int, num_classes: int, *, scale: float = 10.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, num_features))
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        nn.init.normal_(self.weight)

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * F.linear(F.normalize(features, dim=1), F.normalize(self.weight, dim=1))
