"""A task on a backbone, ready for many fits: its images, and what the frozen stages make of them, in memory."""

from dataclasses import dataclass

import torch
from torch import Tensor

from judge.tasks import Task
from thawline.advisor.profile import GRIDS
from thawline.data.sources.source import ImageSource, IntArray, Split
from thawline.data.transforms import eval_transform
from thawline.features.extract import Mode, PrefixRunner, Tap
from thawline.features.fill import ahead
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.fused import fuse

IMAGE_SIZE = 112  # pixels; chosen: half the backbone's own, to save time; the table still takes over two hours
NUM_SEEDS = 3
_BATCH = 64


@dataclass(frozen=True)
class Prepared:
    """Everything that the fits of one task and backbone share.

    Attributes:
        splits: Per seed; positions in `images`.
        images: uint8, (N, 3, S, S), all that any split uses.
        stored: Tap -> its rows, (N, ...).
    """

    source: ImageSource
    backbone: str
    splits: list[dict[Split, IntArray]]
    images: Tensor
    labels: Tensor
    stored: dict[Tap, Tensor]

    @property
    def num_classes(self) -> int:
        return len(self.source.class_names)


def prepare(task: Task, backbone_name: str, *, cuts: list[int]) -> Prepared:
    """Decode every image that is used, and run them through the frozen backbone once.

    Args:
        cuts: Where activations are kept; besides, pooled features of all stages are.
    """
    source = task.source()
    splits = [task.splits(source, seed=seed) for seed in range(NUM_SEEDS)]
    used = sorted({int(i) for split in splits for part in split.values() for i in part})
    position = {index: number for number, index in enumerate(used)}
    placed: list[dict[Split, IntArray]] = [
        {name: _placed(part, position) for name, part in split.items()} for split in splits
    ]
    backbone = build_backbone(backbone_name, weights="embedded", image_size=IMAGE_SIZE).eval()
    transform = eval_transform(backbone.input)
    images = torch.stack([transform(source.load(index)) for index in used])
    labels = torch.from_numpy(source.labels[used])
    return Prepared(source, backbone_name, placed, images, labels, _stored(backbone, images, cuts))


def _placed(part: IntArray, position: dict[int, int]) -> IntArray:
    placed: IntArray = torch.tensor([position[int(index)] for index in part]).numpy()
    return placed


def _stored(backbone: Backbone, images: Tensor, cuts: list[int]) -> dict[Tap, Tensor]:
    taps = [Tap(cut) for cut in cuts]
    taps += [Tap(cut, grid) for cut in range(1, backbone.num_stages + 1) for grid in GRIDS]
    fused = fuse(backbone, backbone.num_stages)
    mode = Mode(torch.bfloat16, "eager" if fused is None else "fused", _BATCH)
    runner = PrefixRunner(backbone, taps, mode, fused=fused)
    parts = [[rows.clone() for rows in runner(batch)] for batch in ahead(torch.split(images, _BATCH))]
    return {tap: torch.cat(rows) for tap, rows in zip(taps, zip(*parts, strict=True), strict=True)}
