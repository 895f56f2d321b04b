"""A stack beside fine-tuned stages: the pretrained copy stays, the prefix runs once, probabilities are averaged."""

import torch

from thawline.features.readout import Readout
from thawline.features.stack import probe_taps
from thawline.freezing.bound_plan import bind
from thawline.models.backbone import Backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.heads import LinearHead
from thawline.models.stacked_head import StackedHead
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.beside import StackBeside, pretrained_copy
from thawline.training.classifier import TransferClassifier

IMAGES = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def made(backbone: Backbone, *, depth: int) -> tuple[TransferClassifier, StackBeside]:
    bound = bind(StrategySettings("blend", unfreeze_depth=depth), backbone, LinearHead(backbone.num_features, 3))
    bound.apply(0)
    copy = pretrained_copy(backbone, shared=bound.first_training)
    readout = Readout.of(copy, stages=range(7), grids=(1, 2))
    head = StackedHead([readout.columns(taps) for taps in probe_taps(readout.taps)], 3)
    torch.nn.init.normal_(bound.head.weight)  # type: ignore[arg-type]
    for weight in head.weights:
        torch.nn.init.normal_(weight)
    return TransferClassifier(bound, num_classes=3), StackBeside(copy, readout=readout, head=head, share=0.25)


def test_a_copy_shares_what_never_trains_and_nothing_else(tiny_backbone: Backbone) -> None:
    copy = pretrained_copy(tiny_backbone, shared=4)
    for index in range(7):
        for name, parameter in tiny_backbone.stage_parameters(index).items():
            other = copy.model.get_parameter(name)
            assert (other.data_ptr() == parameter.data_ptr()) == (index < 4), name
            assert torch.equal(other, parameter)
    assert not any(p.requires_grad for p in copy.parameters())


def test_probabilities_are_averaged_by_the_share(tiny_backbone: Backbone) -> None:
    for depth in (2, 7):
        model, beside = made(tiny_backbone, depth=depth)
        with torch.no_grad():  # "fine-tuned": another suffix than the copy's
            for name, parameter in model.backbone.stage_parameters(6).items():
                parameter.add_(0.05 if name.endswith("weight") else 0.0)
        model.eval()
        with torch.no_grad():
            trained = model(IMAGES).softmax(1)
            stack = beside.head(beside.readout(FrozenPrefix(beside.backbone), IMAGES)).softmax(1)
            model.beside = beside
            both = model(IMAGES).softmax(1)
        torch.testing.assert_close(both, 0.75 * trained + 0.25 * stack)
        assert not torch.allclose(trained, stack)


def test_stages_that_never_train_run_once(tiny_backbone: Backbone) -> None:
    model, beside = made(tiny_backbone, depth=2)
    model.beside = beside
    model.eval()
    calls = []
    for backbone in (model.backbone, beside.backbone):
        backbone.model.conv1[0].register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        model(IMAGES)
    assert len(calls) == 1
