"""A batch of floats is images where nothing is stored, and activations of one shape where something is."""

import pytest
import torch

from thawline.errors import UserError
from thawline.features.readout import Readout
from thawline.models.backbone import Backbone
from thawline.models.fused import FusedPrefix
from thawline.training.classifier import TransferClassifier
from thawline.training.inputs import holds_images

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


def test_stored_activations_must_have_their_shape(model: TransferClassifier) -> None:
    model.entry = 5
    with torch.no_grad():
        activations = model.backbone.prefix(model.backbone.normalize(IMAGES), 5)
        assert torch.equal(model(activations), model(IMAGES))
    shape = ", ".join(map(str, activations.shape[1:]))
    with pytest.raises(UserError, match=rf"\(4, 3, 32, 32\): training reads what stage layer2 gave, \(B, {shape}\)"):
        model(IMAGES / 255)


def test_rows_of_several_stages_are_as_wide_as_they_are_together(tiny_backbone: Backbone) -> None:
    readout = Readout((5, 6), 1)
    width = readout.num_features(tiny_backbone)
    assert not holds_images(torch.zeros(2, width), tiny_backbone, entry=7, readout=readout)
    with pytest.raises(UserError, match=rf"shape \(2, 7\): .*\(B, {width}\)"):
        holds_images(torch.zeros(2, 7), tiny_backbone, entry=7, readout=readout)


def test_the_fused_form_takes_float_images_too(tiny_backbone: Backbone) -> None:
    fused = FusedPrefix(tiny_backbone, 1, tiny_backbone.model)
    torch.testing.assert_close(fused.normalize(IMAGES / 255), fused.normalize(IMAGES), atol=0.02, rtol=0.02)
