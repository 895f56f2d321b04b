"""A task on a backbone, ready for many fits: its images, and what the frozen stages make of them, in memory."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from judge.tasks import Task
from thawline.advisor.profile import GRIDS
from thawline.data.sources.source import ImageSource, IntArray, Split
from thawline.data.transforms import eval_transform
from thawline.features.extract import PrefixRunner, Tap, choose_mode
from thawline.features.in_flight import ahead
from thawline.features.readout import Readout
from thawline.machine.decisions import compiles_pass
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.fused import fuse_where_faster

IMAGE_SIZE = 112  # pixels: half the backbone's own, to save time; the fits still take hours
NUM_SEEDS = 3
DTYPE = torch.bfloat16  # of the frozen stages, and of training under autocast; as a run on these cores computes
_BATCH = 64


@dataclass(frozen=True)
class Prepared:
    """Everything that the fits of one task and backbone share.

    Attributes:
        backbone: Pretrained, in eval mode; no fit changes it.
        splits: Per seed; positions in `images`.
        images: uint8, (N, 3, S, S), all that any split uses.
        labels, groups: (N,), int64.
        features: Pooled features of every stage, (N, D), as `readout` lays them out.
    """

    source: ImageSource
    backbone: Backbone
    splits: list[dict[Split, IntArray]]
    images: Tensor
    labels: Tensor
    groups: Tensor
    readout: Readout
    features: Tensor
    _at_cuts: dict[int, Tensor] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        return len(self.source.class_names)

    def rows(self, cut: int) -> Tensor:
        """Activations of all images at a cut, (N, *row); at cut 0 the images."""
        if cut == 0:
            return self.images
        if cut not in self._at_cuts:
            (self._at_cuts[cut],) = _passed(self.backbone, self.images, [Tap(cut)])
        return self._at_cuts[cut]

    def part(self, of_all: Tensor, seed: int, name: Split) -> Tensor:
        """The rows of one split, of a tensor that has a row for every image."""
        return of_all[torch.from_numpy(self.splits[seed][name])]


def prepare(task: Task, backbone_name: str) -> Prepared:
    """Decode every image that is used, and run them through the frozen backbone once."""
    source = task.source()
    splits = [task.splits(source, seed=seed) for seed in range(NUM_SEEDS)]
    used = sorted({int(i) for split in splits for part in split.values() for i in part})
    position = {index: number for number, index in enumerate(used)}
    placed: list[dict[Split, IntArray]] = [
        {name: _placed(part, position) for name, part in split.items()} for split in splits
    ]
    backbone = pretrained(backbone_name)
    transform = eval_transform(backbone.input)
    images = torch.stack([transform(source.load(index)) for index in used])
    labels, groups = (torch.from_numpy(of_all[used]) for of_all in (source.labels, source.groups))
    readout = Readout.of(backbone, stages=range(backbone.num_stages), grids=GRIDS)
    features = torch.cat(_passed(backbone, images, readout.taps), 1)
    return Prepared(source, backbone, placed, images, labels, groups, readout, features)


def pretrained(name: str) -> Backbone:
    return build_backbone(name, weights="embedded", image_size=IMAGE_SIZE).eval()


def _placed(part: IntArray, position: dict[int, int]) -> IntArray:
    placed: IntArray = torch.tensor([position[int(index)] for index in part]).numpy()
    return placed


def _passed(backbone: Backbone, images: Tensor, taps: list[Tap] | tuple[Tap, ...]) -> list[Tensor]:
    """What the frozen stages make of images at every tap, (N, *row) each."""
    fused = fuse_where_faster(backbone, backbone.num_stages, dtype=DTYPE, device=images.device)
    compiled = compiles_pass("auto", images.device.type, num_images=len(images))
    mode = choose_mode(dtype=DTYPE, fused=fused is not None, compiled=compiled, batch_size=_BATCH)
    runner = PrefixRunner(backbone, taps, mode, fused=fused)
    parts = [[rows.clone() for rows in runner(batch)] for batch in ahead(torch.split(images, _BATCH))]
    return [torch.cat(rows) for rows in zip(*parts, strict=True)]
