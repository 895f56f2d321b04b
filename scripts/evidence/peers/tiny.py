"""The model and the data of the checks: a few thousand parameters, 32 random images, the same for every peer."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

NUM_BLOCKS, WIDTH, NUM_CLASSES = 3, 8, 4
IMAGE_SIZE, NUM_IMAGES, BATCH = 32, 32, 8
BATCHES = NUM_IMAGES // BATCH
BATCHES_SEEN = 7  # chosen: a pretrained BatchNorm has seen some batches, so a reset to 0 shows


class TinyNet(nn.Module):
    """Three blocks of convolution, BatchNorm, ReLU; pooling; a linear head. (B, 3, 32, 32) uint8 -> (B, 4).

    Args:
        seed: Of the weights and of the statistics, which differ from the defaults as those of a pretrained model do.
        twins: Whether blocks 1 and 2 start with equal weights.
    """

    def __init__(self, *, seed: int = 0, twins: bool = False) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            widths = [3, *[WIDTH] * NUM_BLOCKS]
            blocks = [_block(a, b) for a, b in pairwise(widths)]
            if twins:
                blocks[2].load_state_dict(blocks[1].state_dict())
            self.backbone = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.head = nn.Linear(WIDTH, NUM_CLASSES)

    @property
    def blocks(self) -> list[nn.Module]:
        return [self.backbone[i] for i in range(NUM_BLOCKS)]

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(scaled(images)))
        return logits


def _block(width_in: int, width_out: int) -> nn.Sequential:
    norm = nn.BatchNorm2d(width_out)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.normal_(norm.bias, std=0.1)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.running_mean.normal_(std=0.1)
    norm.running_var.uniform_(0.5, 1.5)
    norm.num_batches_tracked.fill_(BATCHES_SEEN)
    return nn.Sequential(nn.Conv2d(width_in, width_out, 3, stride=2, padding=1, bias=False), norm, nn.ReLU())


def scaled(images: Tensor) -> Tensor:
    """uint8 images to float32 in [-1, 1)."""
    return images.float() / 128 - 1


class EpochSampler(Sampler[int]):
    """Random order that is a function of the epoch alone, so a resumed run sees what the uninterrupted one saw."""

    def __init__(self, num_samples: int) -> None:
        self.num_samples = num_samples
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(self.num_samples, generator=torch.Generator().manual_seed(self.epoch))
        return iter(order.tolist())

    def __len__(self) -> int:
        return self.num_samples


def images_and_labels(seed: int) -> TensorDataset:
    """32 images (3, 32, 32) uint8 of noise, with labels."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (NUM_IMAGES, 3, IMAGE_SIZE, IMAGE_SIZE), dtype=torch.uint8, generator=random)
    return TensorDataset(images, torch.randint(0, NUM_CLASSES, (NUM_IMAGES,), generator=random))


def train_loader(rank: int = 0) -> DataLoader[tuple[Tensor, ...]]:
    """Training batches; every rank has its own images."""
    data = images_and_labels(100 + rank)
    return DataLoader(data, batch_size=BATCH, sampler=EpochSampler(NUM_IMAGES))


def validation_loader() -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(images_and_labels(200), batch_size=NUM_IMAGES)


def probe() -> Tensor:
    """Eight scaled images that no run trains on."""
    return scaled(images_and_labels(300).tensors[0][:8])
