"""A batch is images, uint8 or floats in [0, 1]; what is stored of them says so itself."""

import pytest
import torch

from thawline.errors import UserError
from thawline.features.activations import Activations
from thawline.models.backbone import Backbone
from thawline.models.fused import FusedPrefix
from thawline.training.classifier import TransferClassifier

IMAGES = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model(tiny_backbone: Backbone) -> TransferClassifier:
    made = TransferClassifier(tiny_backbone, num_classes=4, unfreeze_depth=2).eval()
    torch.nn.init.normal_(made.head.weight, std=0.1)  # type: ignore[arg-type]
    return made


def test_float_images_give_the_logits_of_uint8_ones(model: TransferClassifier) -> None:
    with torch.no_grad():
        torch.testing.assert_close(model(IMAGES / 255), model(IMAGES), atol=1e-5, rtol=1e-5)


def test_images_that_are_normalised_go_to_logits(model: TransferClassifier) -> None:
    normalized = model.backbone.normalize(IMAGES)
    with torch.no_grad():
        assert torch.equal(model.logits(normalized, start=0), model(IMAGES))
    with pytest.raises(UserError, match=r"float images from -.* go to TransferClassifier\.logits\(x, start=0\)"):
        model(normalized)


def test_what_is_stored_comes_with_its_cut(model: TransferClassifier) -> None:
    with torch.no_grad():
        rows = model.backbone.prefix(model.backbone.normalize(IMAGES), 5)
        assert torch.equal(model(Activations(rows, 5)), model(IMAGES))
        with pytest.raises(UserError, match="images are"):  # without its cut it is no image, and is not guessed at
            model(rows)


def test_the_fused_form_takes_float_images_too(tiny_backbone: Backbone) -> None:
    fused = FusedPrefix(tiny_backbone, 1, tiny_backbone.model)
    torch.testing.assert_close(fused.normalize(IMAGES / 255), fused.normalize(IMAGES), atol=0.02, rtol=0.02)
