"""What is said of small samples, small images and backbones that cannot be cut."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from thawline.advisor.caveats import caveats, check_sample
from thawline.data.sources.source import ImageSource
from thawline.errors import UserError
from thawline.models.backbone import Backbone


@pytest.mark.parametrize("labels", [[0], [0, 1, 2]])
def test_a_sample_needs_two_images_of_a_class(labels: list[int]) -> None:
    with pytest.raises(UserError, match=rf"^mine: {len(labels)} distinct training images, never two of one class"):
        check_sample(np.array(labels), name="mine")


def test_two_of_a_class_will_do() -> None:
    check_sample(np.array([0, 1, 1]), name="mine")


def test_enough_large_images_need_no_caveat(colours: ImageSource, tiny_backbone: Backbone) -> None:
    assert caveats(colours, np.arange(40), tiny_backbone) == []


def test_random_weights_are_told(colours: ImageSource, tiny_backbone: Backbone) -> None:
    tiny_backbone.pretrained = False
    (line,) = caveats(colours, np.arange(40), tiny_backbone)
    assert line == "The weights are random: what stays frozen was never learned. Compare with strategy=from_scratch."


def test_few_images_are_told(colours: ImageSource, tiny_backbone: Backbone) -> None:
    first, second = caveats(colours, np.arange(31), tiny_backbone)
    assert first == "With 31 images the distance is not to be trusted: it may be off by 0.1; 32 are needed."
    assert second == "Class 'yellow' has 7 of the images looked at: the accuracies here are rough."


class Thumbnails:
    """Another source's images at 8 x 16 pixels."""

    def __init__(self, source: Any) -> None:
        self.__dict__.update(source.__dict__)
        self.name, self.class_names, self._source = source.name, source.class_names, source

    def load(self, index: int) -> Image.Image:
        return self._source.load(index).resize((8, 16))  # type: ignore[no-any-return]


def test_enlarged_thumbnails_are_told(colours: ImageSource, tiny_backbone: Backbone) -> None:
    (line,) = caveats(Thumbnails(colours), np.arange(40), tiny_backbone)  # type: ignore[arg-type]
    assert line.startswith(
        "The images are small: half of them have a side of 8 pixels or less, and are enlarged to 32."
    )


def test_a_backbone_of_one_stage_is_told(colours: ImageSource, tiny_backbone: Backbone) -> None:
    tiny_backbone.stages = tiny_backbone.stages[:1]
    assert caveats(colours, np.arange(40), tiny_backbone) == [
        f"{tiny_backbone.name} cannot be cut: it trains as a whole, or only the head does."
    ]
