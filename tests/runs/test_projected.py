"""TensorBoard's projector: what is written for it, and that classes and answers belong to their images."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from thawline import train
from thawline.errors import UserError
from thawline.report.run_record import RunRecord
from thawline.runs.conf_folder import conf_folder
from thawline.runs.projected import described, principal, spread
from thawline.runs.publish import publish
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


def test_places_are_spread() -> None:
    assert spread(10, 4) == [0, 3, 6, 9]
    assert spread(3, 400) == [0, 1, 2]
    assert spread(0, 4) == []


def test_the_setting() -> None:
    assert OmegaConf.load(conf_folder() / "train.yaml").projector == DEFAULT_PROJECTED
    assert checked_projector(0) == 0
    with pytest.raises(UserError, match=f"projector=.*{MOST_PROJECTED}"):
        checked_projector(MOST_PROJECTED + 1)


def test_a_run_leaves_its_test_images(image_folder: Path, tmp_path: Path) -> None:
    """18 images of 24 are the test; 7 of them are shown."""
    record = train(
        [
            "data=folder", f"data.root={image_folder}", "data.test_fraction=0.6", "data.batch_size=4", "projector=7",
            "data.num_workers=0", "model.name=test_resnet", "model.weights=none", "model.image_size=32",
            "strategy=stacked_probe", "trainer.accelerator=cpu", f"output_dir={tmp_path}",
            f"cache.dir={tmp_path / 'cache'}",
        ]
    )  # fmt: skip
    (folder,) = (path.parent for path in tmp_path.rglob("run.json"))
    place = folder / "projector" / "test_images"
    head, *lines = (place / "metadata.tsv").read_text().splitlines()
    assert head.split("\t") == ["true", "predicted", "right", "probability"]
    assert len(lines) == len((place / "tensors.tsv").read_text().splitlines()) == 7
    assert 'image_path: "projector/test_images/sprite.png"' in (folder / "projector_config.pbtxt").read_text()
    sprite = Image.open(place / "sprite.png").convert("RGB")
    assert sprite.size == (96, 96)  # three in a row, of 32 pixels
    for number, line in enumerate(lines):  # cats are red, dogs are blue
        row, column = divmod(number, 3)
        red, _, blue = sprite.getpixel((32 * column + 16, 32 * row + 16))  # type: ignore[misc]
        assert line.startswith("cats\t" if red > blue else "dogs\t")
    right = [line.split("\t")[2] == "yes" for line in lines]
    if record.metrics["test/accuracy"] == 1.0:
        assert all(right)
    rung, target = folder, tmp_path / "auto"
    target.mkdir()
    publish(record, rung, RunRecord(run_id="x", scenario="auto", seed=0), target)
    assert (target / "projector" / "test_images" / "sprite.png").is_file()
    assert (target / "projector_config.pbtxt").is_file()
