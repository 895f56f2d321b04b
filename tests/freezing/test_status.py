"""The diagnostic line, counted by hand."""

import timm
from torch import nn

from thawline.freezing.status import trainable_line


def test_resnet18_with_ten_classes_and_a_frozen_backbone() -> None:
    model = timm.create_model("resnet18", num_classes=10)
    model.requires_grad_(False)
    model.fc.requires_grad_(True)
    assert trainable_line(model) == "Trainable: 5,130 / 11,181,642 (0.05%)"


def test_a_shared_parameter_counts_once_and_no_parameters_are_no_error() -> None:
    layer = nn.Linear(3, 3)
    assert trainable_line(nn.Sequential(layer, layer)) == "Trainable: 12 / 12 (100.00%)"
    assert trainable_line(nn.ReLU()) == "Trainable: 0 / 0 (0.00%)"
