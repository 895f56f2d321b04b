"""Label smoothing, mixup, CutMix and L2-SP change what a training step computes: loss and step, by hand."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Beta

from thawline.freezing.bound_plan import bind
from thawline.models.backbone import Backbone
from thawline.models.heads import LinearHead
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.regularize_settings import RegularizeSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier
from thawline.training.steps import Steps

NUM_CLASSES = 4
IMAGES = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 3, 1, 1])


def classifier(backbone: Backbone, *, weight_decay: float = 0.0, **regularize: float) -> TransferClassifier:
    """The last stage and the head train, by SGD at a rate of 0.5 for both."""
    bound = bind(StrategySettings("test", unfreeze_depth=1), backbone, LinearHead(backbone.num_features, NUM_CLASSES))
    bound.apply(0)
    optim = OptimSettings(
        name="sgd", lr=0.5, weight_decay=weight_decay, schedule="constant", warmup_fraction=0.0, momentum=0.0
    )
    steps = Steps(10, 10, 10, 1, 1.0)
    model = TransferClassifier(
        bound, num_classes=NUM_CLASSES, optim=optim, steps=steps, regularize=RegularizeSettings(**regularize)
    )
    return model.train()


def draw_head(model: TransferClassifier) -> None:
    """The head starts at zero, where every image has the same loss."""
    weight = model.bound.head_parameters["weight"]
    nn.init.normal_(weight, std=0.3, generator=torch.Generator().manual_seed(1))


def loss_of(logits: Tensor, targets: Tensor) -> float:
    """Mean over the images of -sum of target times log of probability; both (B, K)."""
    probabilities = logits.exp() / logits.exp().sum(1, keepdim=True)
    return float(-(targets * probabilities.log()).sum(1).mean())


def test_label_smoothing_gives_every_class_its_share(tiny_backbone: Backbone) -> None:
    model = classifier(tiny_backbone, label_smoothing=0.2)
    with torch.no_grad():
        model.bound.head_parameters["bias"].copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]).log())
    # The head's weight is 0, so every image has the probabilities 0.1, 0.2, 0.3 and 0.4. Of a target's 1, 0.2 is
    # shared out among the 4 classes: 0.85 for the label, 0.05 for each other class.
    logs = [math.log(p) for p in (0.1, 0.2, 0.3, 0.4)]
    expected = sum(-(0.80 * logs[label] + 0.05 * sum(logs)) for label in LABELS.tolist()) / 4
    assert model.training_step((IMAGES, LABELS), 0).item() == pytest.approx(expected)


def mixed_targets(share: float) -> Tensor:
    """`share` of an image's own class, the rest of the class of the image before it in the batch; (B, K)."""
    rows = torch.eye(NUM_CLASSES)
    return share * rows[LABELS] + (1 - share) * rows[LABELS.roll(1)]


def test_mixup_trains_on_the_mixed_images_with_mixed_targets(tiny_backbone: Backbone) -> None:
    model = classifier(tiny_backbone, mixup=0.7)
    draw_head(model)
    torch.manual_seed(1)
    share = Beta(torch.tensor([0.7]), torch.tensor([0.7])).sample().item()
    assert 0.1 < share < 0.9
    plain = tiny_backbone.normalize(IMAGES)
    with torch.no_grad():
        logits = model.logits(share * plain + (1 - share) * plain.roll(1, 0), start=0)
    torch.manual_seed(1)
    loss = model.training_step((IMAGES, LABELS), 0).item()
    assert loss == pytest.approx(loss_of(logits, mixed_targets(share)), rel=1e-5)


def test_cutmix_trains_on_images_with_a_box_of_another_and_its_share_of_the_target(tiny_backbone: Backbone) -> None:
    model = classifier(tiny_backbone, cutmix=1.0)
    draw_head(model)
    torch.manual_seed(3)
    kept = Beta(torch.tensor([1.0]), torch.tensor([1.0])).sample().item()
    x, y = int(torch.randint(32, (1,))), int(torch.randint(32, (1,)))
    half = int(32 * math.sqrt(1 - kept) / 2)
    columns, rows = (slice(max(0, centre - half), min(32, centre + half)) for centre in (x, y))
    box = torch.zeros(32, 32, dtype=torch.bool)
    box[rows, columns] = True
    share = 1 - box.float().mean().item()  # of the image itself, after the box is cut off at the edges
    assert 0.1 < share < 0.9
    plain = tiny_backbone.normalize(IMAGES)
    with torch.no_grad():
        logits = model.logits(torch.where(box, plain.roll(1, 0), plain), start=0)
    torch.manual_seed(3)
    loss = model.training_step((IMAGES, LABELS), 0).item()
    assert loss == pytest.approx(loss_of(logits, mixed_targets(share)), rel=1e-5)


def test_the_training_accuracy_of_mixed_images_counts_their_own_labels(tiny_backbone: Backbone) -> None:
    model = classifier(tiny_backbone, mixup=0.7)
    predicted = torch.eye(NUM_CLASSES, requires_grad=True)[[0, 3, 2, 1]]
    model.head.register_forward_hook(lambda module, args, logits: predicted)
    torch.manual_seed(8)  # 0.27 of each image itself: the other one's label weighs more
    model.training_step((IMAGES, LABELS), 0)
    assert model.train_accuracy.compute() == 0.75  # predicted 0, 3, 2, 1 where the labels are 0, 3, 1, 1


def shifted(backbone: Backbone, **regularize: float) -> tuple[TransferClassifier, int]:
    """A model whose training stage moved by 0.01 in every weight since the run began, and how many weights that is.

    A frozen stage moved too, which must not count.
    """
    model = classifier(backbone, weight_decay=0.1, **regularize)
    moved = list(backbone.stage_parameters(backbone.num_stages - 1).values())
    with torch.no_grad():
        for parameter in (*moved, *backbone.stage_parameters(0).values()):
            parameter += 0.01
    return model, sum(parameter.numel() for parameter in moved)


def test_l2_sp_adds_half_its_weight_times_the_squared_distance_to_the_loss(tiny_backbone: Backbone) -> None:
    model, num_moved = shifted(tiny_backbone, l2_sp=3.0)
    loss = model.training_step((IMAGES, LABELS), 0).item()
    # The head is 0, so all classes are equally likely.
    assert loss - math.log(NUM_CLASSES) == pytest.approx(0.5 * 3.0 * num_moved * 0.01**2, rel=1e-3)


def test_a_step_under_l2_sp_goes_back_towards_the_start_and_not_towards_zero(tiny_backbone: Backbone) -> None:
    start = {name: p.detach().clone() for name, p in tiny_backbone.model.named_parameters()}
    model, _ = shifted(tiny_backbone, l2_sp=0.4)
    head = model.bound.head_parameters["bias"]
    with torch.no_grad():
        head.fill_(1.0)  # equal for all classes: they stay equally likely
    made: Any = model.configure_optimizers()
    model.training_step((IMAGES, LABELS), 0).backward()
    made["optimizer"].step()
    # Through a head of 0 the images send no gradient into the backbone: there the penalty alone makes the step.
    for name, parameter in tiny_backbone.stage_parameters(tiny_backbone.num_stages - 1).items():
        expected = start[name] + 0.01 - 0.5 * 0.4 * 0.01  # rate 0.5, gradient 0.4 times the distance
        torch.testing.assert_close(parameter, expected, rtol=0.0, atol=1e-6, msg=name)
