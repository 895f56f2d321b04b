"""Mixed batches by hand: images and labels mix in the same proportion."""

import torch

from thawline.data.mixing import make_mixer


def test_nothing_to_mix_is_no_mixer() -> None:
    assert make_mixer(num_classes=3, mixup=0.0, cutmix=0.0) is None


def test_mixup_mixes_images_and_labels_alike() -> None:
    torch.manual_seed(0)
    mixer = make_mixer(num_classes=2, mixup=1.0, cutmix=0.0)
    assert mixer is not None
    images = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])
    mixed, targets = mixer(images, torch.tensor([0, 1]))
    share = mixed[1, 0, 0, 0]
    assert 0 < share < 1
    torch.testing.assert_close(mixed[1], share.expand(3, 4, 4))
    torch.testing.assert_close(targets[1], torch.stack([1 - share, share]))


def test_cutmix_labels_by_area() -> None:
    torch.manual_seed(1)
    mixer = make_mixer(num_classes=2, mixup=0.0, cutmix=1.0)
    assert mixer is not None
    images = torch.stack([torch.zeros(3, 32, 32), torch.ones(3, 32, 32)])
    mixed, targets = mixer(images, torch.tensor([0, 1]))
    assert set(mixed.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(targets[1, 1], mixed[1].mean())
