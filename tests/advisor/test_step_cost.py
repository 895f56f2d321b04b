"""The timed step: what it counts, and that it leaves the backbone as it was."""

import pytest
import torch
from torch import nn

from thawline.advisor.step_cost import StepCost, step_cost
from thawline.errors import UserError
from thawline.machine.number_formats import Precision
from thawline.models.backbone import Backbone
from thawline.models.digests import checksum

FP32 = Precision("32-true")
IMAGES = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def cost(backbone: Backbone, depth: int) -> StepCost:
    return step_cost(backbone, depth, IMAGES, num_classes=5, precision=FP32)


def test_what_trains_is_counted(tiny_backbone: Backbone) -> None:
    def trained(*stages: int) -> int:
        parameters: list[nn.Parameter] = []
        for index in stages:
            parameters += tiny_backbone.stage_parameters(index).values()
        head = 5 * (tiny_backbone.num_features + 1)
        return 4 * (sum(p.numel() for p in parameters) + head)

    top = cost(tiny_backbone, 1)
    everything = cost(tiny_backbone, 7)
    assert top.trained_bytes == trained(6)
    assert everything.trained_bytes == trained(*range(7))
    assert 0 < top.saved_bytes < everything.saved_bytes
    assert top.memory_bytes(8) == 2 * 8 * top.saved_bytes + 3 * top.trained_bytes
    assert top.image_s > 0


def test_a_batch_beyond_the_bound_is_not_tried(tiny_backbone: Backbone) -> None:
    sizes: set[int] = set()
    stage = tiny_backbone.model.get_submodule(tiny_backbone.stages[-1].modules[0])
    stage.register_forward_hook(lambda *args: sizes.add(len(args[1][0])))
    everything = 7
    images = torch.cat([IMAGES] * 4)
    unbounded = step_cost(tiny_backbone, everything, images, num_classes=5, precision=FP32)
    assert sizes == {4, 16}
    sizes.clear()
    bounded = step_cost(
        tiny_backbone, everything, images, num_classes=5, precision=FP32, max_bytes=unbounded.memory_bytes(16) - 1
    )
    assert sizes == {4}
    assert bounded.memory_bytes(16) == unbounded.memory_bytes(16)
    assert bounded.image_s > 0


def test_it_computes_in_the_precision_of_the_run(tiny_backbone: Backbone) -> None:
    """The types of the gradients' inputs were bf16 on every GPU before."""
    types: set[torch.dtype] = set()
    stage = tiny_backbone.model.get_submodule(tiny_backbone.stages[-1].modules[0])
    stage.register_forward_hook(lambda *args: types.add(args[2].dtype))
    for name in ("32-true", "bf16-mixed", "16-mixed"):
        step_cost(tiny_backbone, 1, IMAGES, num_classes=5, precision=Precision(name))
    assert types == {torch.float32, torch.bfloat16, torch.float16}


def test_too_little_memory_names_model_batch_and_next_step(tiny_backbone: Backbone) -> None:
    def full(*args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    stage = tiny_backbone.model.get_submodule(tiny_backbone.stages[-1].modules[0])
    stage.register_forward_hook(full)
    expected = r"^test_resnet at 32 pixels in batches of 4 does not fit .*; choose a smaller model\.name or "
    with pytest.raises(UserError, match=expected):
        cost(tiny_backbone, 1)


def test_the_backbone_stays_as_it_was(tiny_backbone: Backbone) -> None:
    before = checksum(tiny_backbone.model.state_dict())
    cost(tiny_backbone, 7)
    assert checksum(tiny_backbone.model.state_dict()) == before
    assert all(parameter.grad is None for parameter in tiny_backbone.parameters())
