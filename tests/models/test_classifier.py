"""What the optimizer gets, and what runs without gradients."""

import pytest
import torch
from torch import nn

from thawline.models import freezing
from thawline.models.backbone import Backbone
from thawline.models.classifier import TransferClassifier
from thawline.models.heads import LinearHead
from thawline.settings import OptimSettings


def classifier(
    backbone: Backbone, *, stages: frozenset[int], optim: OptimSettings | None = None, total_steps: int = 10
) -> TransferClassifier:
    freezing.apply(backbone, stages)
    head = LinearHead(backbone.num_features, 4)
    settings = optim or OptimSettings(lr=0.1, backbone_lr=0.01)
    return TransferClassifier(backbone, head, num_classes=4, stages=stages, optim=settings, total_steps=total_steps)


@pytest.mark.parametrize("stages", [frozenset[int](), frozenset({6}), frozenset({5, 6}), frozenset(range(7))])
@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_optimizer_holds_the_trainable_parameters_and_no_other(
    tiny_backbone: Backbone, stages: frozenset[int], name: str
) -> None:
    model = classifier(tiny_backbone, stages=stages, optim=OptimSettings(name=name, lr=0.1))
    optimizer = model.configure_optimizers()["optimizer"]  # type: ignore[index,call-overload]
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}


def test_schedule_sets_the_rate_of_every_group(tiny_backbone: Backbone) -> None:
    optim = OptimSettings(lr=0.1, backbone_lr=0.01, schedule="cosine", warmup_fraction=0.2)
    made = classifier(tiny_backbone, stages=frozenset({6}), optim=optim).configure_optimizers()
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]  # type: ignore[index,call-overload]
    for _ in range(6):  # 2 warm-up steps, then half of the cosine's 8
        optimizer.step()
        scheduler.step()
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert rates["head"] == pytest.approx(0.05)
    assert rates["layer4"] == rates["layer4/no_decay"] == pytest.approx(0.005)


def test_the_frozen_prefix_keeps_nothing_for_the_backward_pass(tiny_backbone: Backbone) -> None:
    model = classifier(tiny_backbone, stages=frozenset({6})).train()
    seen: list[bool] = []
    tiny_backbone.model.layer3.register_forward_hook(lambda module, args, out: seen.append(out.requires_grad))
    tiny_backbone.model.layer3[0].register_forward_hook(lambda module, args, out: seen.append(out.requires_grad))
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    nn.functional.cross_entropy(model(images), torch.arange(4)).backward()
    assert seen == [False]
    assert tiny_backbone.model.layer4[0].conv1.weight.grad is not None


def test_bf16_in_the_prefix_changes_the_logits_a_little_and_their_type_not(tiny_backbone: Backbone) -> None:
    model = classifier(tiny_backbone, stages=frozenset({6})).eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)  # type: ignore[arg-type]
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        exact = model(images)
        model.prefix_dtype = torch.bfloat16
        rounded = model(images)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.05 * exact.abs().max()
