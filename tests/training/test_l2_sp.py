"""Distances and interpolations by hand."""

import torch
from torch import nn

from thawline.training.l2_sp import StartingPoint, squared_distance
from thawline.training.wise_ft import interpolate


def test_squared_distance_by_hand() -> None:
    here = {"a": torch.tensor([1.0, 2.0], requires_grad=True), "b": torch.tensor([[3.0]])}
    start = {"a": torch.tensor([0.0, 4.0]), "b": torch.tensor([[3.0]])}
    distance = squared_distance(here, start)
    assert distance == 0.5 * (1 + 4)
    distance.backward()  # type: ignore[no-untyped-call]
    assert here["a"].grad is not None
    assert here["a"].grad.tolist() == [1.0, -2.0]  # half the square: the gradient is the distance itself


def test_the_starting_point_is_remembered_and_frozen_parameters_do_not_count() -> None:
    layer = nn.Linear(2, 1)
    nn.init.ones_(layer.weight)  # numbers that a sum keeps exactly
    nn.init.zeros_(layer.bias)
    start = StartingPoint(dict(layer.named_parameters()))
    with torch.no_grad():
        layer.weight += 2.0
        layer.bias += 1.0
    assert start.penalty().item() == 0.5 * (4 + 4 + 1)
    layer.bias.requires_grad = False
    assert start.penalty().item() == 0.5 * (4 + 4)


def test_interpolation_by_hand_and_bitwise_where_nothing_changed() -> None:
    start = {"w": torch.tensor([0.0, 2.0]), "frozen": torch.tensor([0.1, -0.0]), "count": torch.tensor(1)}
    tuned = {"w": torch.tensor([1.0, 4.0]), "frozen": torch.tensor([0.1, -0.0]), "count": torch.tensor(9)}
    mixed = interpolate(start, tuned, share=0.25)
    assert mixed["w"].tolist() == [0.25, 2.5]
    assert mixed["count"] == 9
    assert torch.equal(mixed["frozen"].view(torch.int32), start["frozen"].view(torch.int32))  # the sign of zero too
    assert torch.equal(interpolate(start, tuned, share=1.0)["w"], tuned["w"])
    assert torch.equal(interpolate(start, tuned, share=0.0)["w"], start["w"])
