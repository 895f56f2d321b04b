"""TensorBoard's projector: components, metadata and the setting; tests/deploy has the files of a run."""

import pytest
import torch
from omegaconf import OmegaConf

from thawline.errors import UserError
from thawline.runs.conf_folder import conf_folder
from thawline.runs.projected import described, principal
from thawline.settings.projector_setting import DEFAULT_PROJECTED, MOST_PROJECTED, checked_projector


def test_components_keep_the_distances_between_scaled_rows() -> None:
    rows = torch.randn(12, 200, generator=torch.Generator().manual_seed(0)) * torch.linspace(1, 50, 200)
    scaled = (rows - rows.mean(0)) / (rows - rows.mean(0)).square().mean(0).sqrt()
    got = principal(rows)
    assert got.shape == (12, 12)
    assert torch.allclose(torch.cdist(got, got), torch.cdist(scaled, scaled).double(), atol=1e-2)
    variances = got.square().sum(0)
    assert torch.equal(variances, variances.sort(descending=True).values)
    assert principal(torch.ones(3, 5)).abs().max() == 0  # columns that do not vary say nothing


def test_metadata_by_hand() -> None:
    logs = torch.tensor([[0.25, 0.75], [0.9, 0.1]]).log()
    rows = described(logs, torch.tensor([0, 0]), ["a\tb", "c"])
    assert rows == [["a b", "c", "no", "0.750"], ["a b", "a b", "yes", "0.900"]]


def test_the_setting() -> None:
    assert OmegaConf.load(conf_folder() / "train.yaml").projector == DEFAULT_PROJECTED
    assert checked_projector(0) == 0
    with pytest.raises(UserError, match=f"projector=.*{MOST_PROJECTED}"):
        checked_projector(MOST_PROJECTED + 1)
