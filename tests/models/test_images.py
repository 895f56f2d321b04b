"""Float images are images, and nothing is guessed."""

import pytest
import torch

from thawline.errors import UserError
from thawline.models.normalized_images import normalized

MEAN, STD = torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(1, 3, 1, 1)
IMAGES = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_float_images_give_what_uint8_ones_give(dtype: torch.dtype) -> None:
    floats = IMAGES.to(dtype) / 255
    before = floats.clone()
    made = normalized(floats, MEAN, STD)
    torch.testing.assert_close(made, normalized(IMAGES, MEAN, STD), atol=1e-6, rtol=1e-6)
    assert made.dtype == torch.float32
    assert torch.equal(floats, before)  # the caller's batch stays


def test_a_channels_last_float_batch_is_not_changed_either() -> None:
    floats = (IMAGES / 255).contiguous(memory_format=torch.channels_last)
    before = floats.clone()
    normalized(floats, MEAN, STD)
    assert torch.equal(floats, before)


def test_values_by_hand() -> None:
    made = normalized(torch.full((1, 3, 1, 1), 0.7), MEAN, STD)
    assert made.flatten().tolist() == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("images", "line"),
    [
        (torch.full((1, 3, 2, 2), 255.0), r"float images from 255 to 255: .* float from 0 to 1; divide by 255"),
        (torch.full((1, 3, 2, 2), -0.1), r"float images from -0\.1 to -0\.1: .*logits\(x, start=0\)"),
        (torch.full((1, 3, 2, 2), float("nan")), "float images from nan to nan"),
        (torch.zeros(2, 512), r"a batch of shape \(2, 512\): images are \(B, 3, H, W\)"),
        (torch.zeros(2, 4, 8, 8), r"a batch of shape \(2, 4, 8, 8\)"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.int64), r"images of type torch\.int64: .* uint8 from 0 to 255 or float"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_told(images: torch.Tensor, line: str) -> None:
    with pytest.raises(UserError, match=line):
        normalized(images, MEAN, STD)
