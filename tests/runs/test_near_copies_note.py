import numpy as np

from thawline.runs.announce import near_copies_note


def test_near_copies_across_a_random_split_are_told_with_the_way_out(colours) -> None:
    scenes = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    thumbs = np.concatenate([scenes, scenes // 2 * 2])  # image i + 20 nearly equals image i
    splits = {"train": np.arange(20), "val": np.arange(20, 22), "test": np.arange(5, 6)}
    note = near_copies_note(thumbs, colours, splits)
    assert note.startswith(
        "2 of 3 validation and test images that were compared are nearly the same as training images, so the "
        "accuracy is too high; first: colour 20 and colour 0; keep them together with data.group_by=near_copies"
    )
    colours.groups[20:22] = [0, 1]
    assert near_copies_note(thumbs, colours, splits) is None
