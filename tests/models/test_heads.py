"""Heads map (B, D) to (B, K)."""

import pytest
import torch
from torch import nn

from thawline.models.heads import CosineHead, LinearHead, MLPHead


@pytest.mark.parametrize("head", [LinearHead(6, 3), MLPHead(6, 3, hidden=4), CosineHead(6, 3, scale=20)])
def test_shape(head: nn.Module) -> None:
    assert head(torch.randn(5, 6)).shape == (5, 3)


def test_linear_head_starts_with_equal_logits() -> None:
    assert LinearHead(6, 3)(torch.randn(5, 6)).eq(0).all()


def test_cosine_head_by_hand() -> None:
    head = CosineHead(2, 2, scale=10.0)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 5.0]]))
    logits = head(torch.tensor([[3.0, 4.0]]))  # cosines 3/5 and 4/5
    torch.testing.assert_close(logits, torch.tensor([[6.0, 8.0]]))
