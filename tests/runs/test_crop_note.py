import numpy as np

from thawline.runs.announce import crop_note


def test_images_that_lose_more_than_a_third_are_counted(colours) -> None:
    sizes = np.array([[300, 200], [200, 300], [100, 100], [160, 90], [90, 1000]])
    assert crop_note(sizes, colours) == (
        "the centre crop drops more than a third of 2 of 5 images, first: colour 3 (160 x 90); "
        "data.fit=pad or data.fit=squash shows all of them"
    )
    assert crop_note(sizes[:3], colours) is None
