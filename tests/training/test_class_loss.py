"""Losses for classes that differ in size, through the real training step, against values by hand."""

import math

import pytest
import torch
from torch import Tensor

from thawline.freezing.bound_plan import bind
from thawline.models.backbone import Backbone
from thawline.models.heads import LinearHead
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.class_loss import ClassLoss, class_weights, log_prior
from thawline.training.classifier import TransferClassifier
from thawline.training.steps import Steps

COUNTS = torch.tensor([6, 3, 1])
P = (0.5, 0.3, 0.2)  # of the classes, for every image: the head has a bias only
IMAGES = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 0, 1, 2])


def loss_of(backbone: Backbone, loss: ClassLoss, labels: Tensor = LABELS) -> float:
    """The loss of a training step on four images of which the model says `P`."""
    bound = bind(StrategySettings("test", unfreeze_depth=0), backbone, LinearHead(backbone.num_features, 3))
    bound.apply(0)
    optim = OptimSettings(name="sgd", lr=0.5, schedule="constant", warmup_fraction=0.0)
    model = TransferClassifier(bound, num_classes=3, optim=optim, steps=Steps(10, 10, 10, 1, 1.0), loss=loss).train()
    with torch.no_grad():
        model.bound.head_parameters["bias"].copy_(torch.tensor(P).log())
    return model.training_step((IMAGES, labels), 0).item()


def test_a_weighted_image_counts_as_its_class_is_rare(tiny_backbone: Backbone) -> None:
    # 10 images in 3 classes: a class of n images has the weight 10 / (3 n).
    weights = [10 / 18, 10 / 9, 10 / 3]
    expected = sum(-weights[label] * math.log(P[label]) for label in LABELS.tolist()) / 4
    assert loss_of(tiny_backbone, ClassLoss("weights", COUNTS)) == pytest.approx(expected)


def test_focal_loss_forgets_what_is_easy(tiny_backbone: Backbone) -> None:
    expected = sum(-((1 - P[label]) ** 2) * math.log(P[label]) for label in LABELS.tolist()) / 4
    assert loss_of(tiny_backbone, ClassLoss("focal", COUNTS)) == pytest.approx(expected)


def test_adjusted_logits_give_the_large_class_a_head_start_in_training(tiny_backbone: Backbone) -> None:
    # softmax(log p + log prior): p times the share, over the sum of 0.5 * 0.6 + 0.3 * 0.3 + 0.2 * 0.1 = 0.41.
    adjusted = [0.30 / 0.41, 0.09 / 0.41, 0.02 / 0.41]
    expected = sum(-math.log(adjusted[label]) for label in LABELS.tolist()) / 4
    assert loss_of(tiny_backbone, ClassLoss("logit_adjust", COUNTS)) == pytest.approx(expected)


def test_label_smoothing_smooths_the_loss_that_is_weighted(tiny_backbone: Backbone) -> None:
    loss = ClassLoss("weights", COUNTS, label_smoothing=0.3)  # 0.8 for the label, 0.1 for each other class
    logs = [math.log(p) for p in P]
    weights = [10 / 18, 10 / 9, 10 / 3]
    expected = sum(-weights[label] * (0.7 * logs[label] + 0.1 * sum(logs)) for label in LABELS.tolist()) / 4
    assert loss_of(tiny_backbone, loss) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["weights", "focal", "logit_adjust"])
def test_a_mixed_image_has_the_losses_of_its_parts(kind: str) -> None:
    loss, logits = ClassLoss(kind, COUNTS, label_smoothing=0.1), torch.tensor([[1.0, -0.5, 0.2]])
    whole = loss(logits, torch.tensor([[0.25, 0.0, 0.75]]))
    parts = 0.25 * loss(logits, torch.tensor([0])) + 0.75 * loss(logits, torch.tensor([2]))
    torch.testing.assert_close(whole, parts)


def test_the_best_constant_answer_takes_all_classes_for_equally_frequent() -> None:
    """Both weights and adjustment are consistent with the balanced error: the optimum is one third for each."""
    labels = torch.repeat_interleave(torch.arange(3), COUNTS)
    for kind in ("weights", "logit_adjust"):
        logits = torch.zeros(3, requires_grad=True)
        ClassLoss(kind, COUNTS)(logits.expand(10, 3), labels).backward()
        assert logits.grad is not None
        torch.testing.assert_close(logits.grad, torch.zeros(3), atol=1e-6, rtol=0)


def test_a_class_without_images_weighs_nothing_and_is_pushed_down_as_without_adjustment() -> None:
    counts = torch.tensor([3, 1, 0])
    torch.testing.assert_close(class_weights(counts), torch.tensor([4 / 6, 4 / 2, 0.0]))
    torch.testing.assert_close(log_prior(counts), torch.tensor([math.log(0.75), math.log(0.25), 0.0]))


def test_it_adds_nothing_to_the_checkpoint() -> None:
    assert not ClassLoss("weights", COUNTS).state_dict()
