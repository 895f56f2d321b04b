"""The pilot: what it says of features that do and do not tell the classes apart, and that it leaves no trace."""

import numpy as np
import pytest
import torch
from torch import Tensor

from thawline.advisor.pilot import PILOT, PILOT_FOLDS, Pilot, pilot_seconds, run_pilot
from thawline.data.sources.source import IntArray
from thawline.machine.compute import Compute
from thawline.machine.precision import Precision
from thawline.models.backbone import Backbone
from thawline.models.digests import checksum

FP32 = Precision(torch.float32, "32-true")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough to tell light from dark; BatchNorm's statistics need some 50 steps to follow."""
    monkeypatch.setattr("thawline.advisor.on_rows.epochs_of", lambda option, num_rows: 80)


def sample(backbone: Backbone, *, num_images: int = 48, told_apart: bool = True) -> tuple[Tensor, IntArray]:
    """Activations at the pilot's cut of images of two brightnesses, or of noise alone, and their classes."""
    labels = np.arange(num_images) % 2
    noise = torch.rand((num_images, 3, 32, 32), generator=torch.Generator().manual_seed(0)) * 60
    brightness = torch.from_numpy(labels).float()[:, None, None, None] * (120.0 if told_apart else 0.0)
    with torch.no_grad():
        x = backbone.eval().normalize((noise + brightness).to(torch.uint8))
        return backbone.prefix(x, PILOT.num_frozen(backbone.num_stages)), labels


def pilot(backbone: Backbone, rows: Tensor, labels: IntArray, groups: IntArray | None = None) -> Pilot:
    """The last 12 images are held out."""
    groups = np.arange(len(labels)) if groups is None else groups
    return run_pilot(backbone, rows, labels, groups[:-12], compute=Compute(CPU, FP32))


def share(correct: Tensor) -> float:
    return float(correct.double().mean())


def test_it_learns_what_there_is_to_learn(tiny_backbone: Backbone) -> None:
    found = pilot(tiny_backbone, *sample(tiny_backbone))
    assert (len(found.in_folds), len(found.held_out)) == (36, 12)
    assert share(found.in_folds) > 0.9
    assert share(found.held_out) > 0.9


def test_copies_of_an_image_are_not_learned_by_heart(tiny_backbone: Backbone) -> None:
    """Noise with a random class each, every image four times: copies in training and judgement would give 1."""
    rows, labels = sample(tiny_backbone, num_images=24, told_apart=False)
    copies = np.tile(np.arange(24), 4)
    assert share(pilot(tiny_backbone, rows.repeat(4, 1, 1, 1), labels[copies], copies).in_folds) < 0.8


def test_it_leaves_the_backbone_and_the_generator_as_they_were(
    tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thawline.advisor.on_rows.epochs_of", lambda option, num_rows: 3)
    before, state = checksum(tiny_backbone.model.state_dict()), torch.get_rng_state()
    rows, labels = sample(tiny_backbone)
    first = pilot(tiny_backbone, rows, labels)
    assert checksum(tiny_backbone.model.state_dict()) == before
    assert torch.equal(torch.get_rng_state(), state)
    again = pilot(tiny_backbone, rows, labels * 7 + 2)  # classes that the sample lacks do no harm
    assert torch.equal(again.in_folds, first.in_folds)
    assert torch.equal(again.held_out, first.held_out)


@pytest.mark.parametrize(
    ("num_images", "steps"),
    # 480 of 960 seen: 15 batches, 9 epochs; 64 of 128: 2 and 64; 6 of 12: 1 and 128. Then all of them.
    [(960, 2 * 9 * 15 + 8 * 30), (128, 2 * 64 * 2 + 32 * 4), (12, 2 * 128 + 128)],
)
def test_its_time_is_told_beforehand(num_images: int, steps: int) -> None:
    assert PILOT_FOLDS == 2
    assert pilot_seconds(num_images, step_s=0.5) == steps * 0.5
