"""Checksums see every bit, and only content."""

import torch

from thawline.models.digests import checksum, differing, digests


def test_checksum_sees_names_types_shapes_and_bits() -> None:
    zeros = torch.zeros(2, 3)
    sums = [checksum({"a": t}) for t in (zeros, zeros.double(), zeros.reshape(3, 2), zeros + 1e-30)]
    assert len({*sums, checksum({"b": zeros})}) == 5
    assert checksum({"a": zeros}) == checksum({"a": torch.zeros(3, 2).t()})  # memory layout is no content


def test_a_negative_zero_is_another_number() -> None:
    before, after = (
        digests({"a": torch.zeros(1), "b": torch.ones(1)}),
        digests({"a": -torch.zeros(1), "b": torch.ones(1)}),
    )
    assert differing(before, after) == ["a"]
    assert differing(before, {}) == ["a", "b"]
