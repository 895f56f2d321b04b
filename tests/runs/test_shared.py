"""What the rungs of scenario=auto share is made once, and each gets it as if it was made for it."""

import pytest
import torch

from thawline.runs.shared import Shared
from thawline.settings.model_settings import ModelSettings

MODEL = ModelSettings("test_resnet", "none", {}, image_size=32)


def test_a_backbone_is_built_once_and_handed_on_untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Shared()
    first = shared.backbone(MODEL, weights="none", seed=3)
    drawn = torch.rand(3)
    before = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    first.requires_grad_(False)
    with torch.no_grad():
        next(first.parameters()).add_(1.0)
    monkeypatch.setattr("thawline.runs.shared.build_backbone", None)  # it is not called again
    second = shared.backbone(MODEL, weights="none", seed=3)
    assert torch.equal(torch.rand(3), drawn)  # so that a head that is made now is that of a run that is alone
    assert all(torch.equal(tensor, before[name]) for name, tensor in second.state_dict().items())
    assert all(parameter.requires_grad for parameter in second.parameters())


def test_another_seed_size_or_forgetting_builds_anew() -> None:
    shared = Shared()
    first = shared.backbone(MODEL, weights="none", seed=3)
    other = shared.backbone(MODEL, weights="none", seed=4)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    shared.forget(MODEL)
    again = shared.backbone(MODEL, weights="none", seed=3)
    assert torch.equal(next(first.parameters()), next(again.parameters()))


def test_a_source_is_made_once() -> None:
    shared = Shared()
    assert shared.source({"_target_": "builtins.object"}) is shared.source({"_target_": "builtins.object"})
    alone = Shared(keeps=False)
    assert alone.source({"_target_": "builtins.object"}) is not alone.source({"_target_": "builtins.object"})
