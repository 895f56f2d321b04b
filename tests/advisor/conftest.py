import pytest

from thawline.models.backbone import Backbone


@pytest.fixture
def tiny_backbone(tiny_backbone: Backbone) -> Backbone:
    """Its weights are random, and count as learned here."""
    tiny_backbone.pretrained = True
    return tiny_backbone
