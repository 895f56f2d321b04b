"""Coordinates in the span of some rows: exact where the rows lie in it, close where they nearly do."""

import torch

from thawline.features.landmarks import landmark_bases

GENERATOR = torch.Generator().manual_seed(0)


def test_as_many_landmarks_as_the_rank_keep_every_product() -> None:
    rows = torch.randn(40, 5, generator=GENERATOR, dtype=torch.float64) @ torch.randn(5, 60, dtype=torch.float64)
    parts = [rows[:, :20], rows[:, 20:]]
    bases = landmark_bases(parts, 10)
    assert [basis.shape for basis in bases] == [(20, 5), (40, 5)]
    coordinates = sum((p @ b for p, b in zip(parts[1:], bases[1:], strict=True)), start=parts[0] @ bases[0])
    torch.testing.assert_close(coordinates @ coordinates.T, rows @ rows.T)


def test_the_basis_is_orthonormal_and_products_never_grow() -> None:
    rows = torch.randn(50, 30, generator=GENERATOR, dtype=torch.float64)
    (basis,) = landmark_bases([rows], 12)
    torch.testing.assert_close(basis.T @ basis, torch.eye(12, dtype=torch.float64))
    assert ((rows @ basis).square().sum(1) <= rows.square().sum(1) + 1e-9).all()
