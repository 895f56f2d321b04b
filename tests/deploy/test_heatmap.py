"""Heat lies where the answer comes from, whatever the model is."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import thawline
from thawline.deploy.heatmap import Answers, heatmap, overlay

Made = Callable[[str], Path]


def looking_at(rows: slice, columns: slice) -> Answers:
    """A model whose class 1 is the redder the patch; it is certain, so that probabilities hardly change."""

    def log_probabilities(images: Tensor) -> Tensor:
        red = images[:, 0, rows, columns].float().mean((1, 2)) / 255
        return torch.stack([-40 * red, 40 * red, torch.zeros_like(red)], dim=1).log_softmax(1)

    return SimpleNamespace(net=SimpleNamespace(log_probabilities=log_probabilities))


def noise_with_patch(rows: slice, columns: slice, *, side: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(60, 120, (3, side, side), dtype=torch.uint8, generator=generator)
    image[0, rows, columns] = 255
    return image


@pytest.mark.parametrize("side", [30, 56, 224])
def test_the_heat_lies_on_the_part_that_the_model_reads(side: int) -> None:
    rows, columns = slice(0, side // 5), slice(side // 2, side // 2 + side // 4)
    image = noise_with_patch(rows, columns, side=side)
    heat = heatmap(looking_at(rows, columns), image, 1)
    assert heat.shape == (side, side)
    assert (float(heat.min()), float(heat.max())) == (0, 1)
    inside = heat[rows, columns].mean()
    outside = (heat.sum() - heat[rows, columns].sum()) / (side**2 - heat[rows, columns].numel())
    assert inside > 5 * outside
    peak = divmod(int(heat.argmax()), side)
    assert rows.start <= peak[0] < rows.stop + side / 7
    assert columns.start - side / 7 <= peak[1] < columns.stop + side / 7


def test_a_model_that_sees_nothing_has_no_heat() -> None:
    image = noise_with_patch(slice(10, 20), slice(10, 20), side=30)
    blind = SimpleNamespace(
        net=SimpleNamespace(log_probabilities=lambda images: torch.zeros(len(images), 3).log_softmax(1))
    )
    assert torch.equal(heatmap(blind, image, 1), torch.zeros(30, 30))


def test_the_overlay_is_grey_where_cold_and_coloured_where_hot() -> None:
    heat = torch.zeros(20, 20)
    heat[10:] = 1
    made = np.asarray(overlay(Image.new("RGB", (60, 40), (10, 200, 90)), heat)).astype(int)
    assert made.shape == (40, 60, 3)
    assert np.ptp(made[2, 30]) == 0
    assert np.ptp(made[37, 30]) > 40
    assert overlay(torch.zeros(3, 20, 20, dtype=torch.uint8), heat).size == (20, 20)


@pytest.mark.parametrize("strategy", ["stacked_probe", "blend", "partial_fine_tune"])
def test_covering_the_hot_part_costs_more_than_covering_others(made: Made, colour_folder: Path, strategy: str) -> None:
    """A quarter of a class's image is pasted on grey: the answer needs that part, and the heat says so."""
    model = thawline.load(made(strategy), accelerator="cpu", precision="32-true")
    side, ahead = model.description.preprocessing.size, 0
    generator = np.random.default_rng(0)
    for name in model.class_names:
        patch = model.prepare(colour_folder / "test" / name / "0.png")[:, : side // 2, : side // 2]
        image = torch.full((3, side, side), 128, dtype=torch.uint8)
        top, left = generator.integers(0, 2, 2) * (side // 2)
        image[:, top : top + side // 2, left : left + side // 2] = patch
        index = int(model.net.log_probabilities(image[None])[0].argmax())
        heat = heatmap(model, image, index)
        hot = heat >= heat.flatten().sort(descending=True).values[side * side // 8]
        others = [torch.roll(hot, tuple(generator.integers(4, side - 4, 2)), (0, 1)) for _ in range(8)]
        grey = image.float().mean((1, 2)).to(torch.uint8)[:, None, None]
        covered = torch.stack([image, *(torch.where(mask, grey, image) for mask in (hot, *others))])
        rows = model.net.log_probabilities(covered)[:, index]
        ahead += bool(rows[0] - rows[1] > (rows[0] - rows[2:]).mean())
    assert ahead == len(model.class_names)
