"""The pass that fills the cache, against the fastest forward pass: python -m speed.extraction FOLDER IMAGES NUM SIZE.

One line of JSON: rates of images held in memory and of images on disk, and of the model's forward pass alone.
"""

import copy
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from thawline.data.dataset import SplitDataset
from thawline.data.keep import KeptImages
from thawline.data.sources.folder import FolderSource
from thawline.data.sources.source import ImageSource, IntArray, Split
from thawline.data.transforms import eval_transform
from thawline.features.extract import Tap, choose_mode
from thawline.features.feature_cache import FeatureCache
from thawline.features.fill import Extraction, fill
from thawline.features.wanted import Wanted
from thawline.machine.decisions import compiles_pass, pass_batch
from thawline.machine.device import described
from thawline.machine.memory import keep_freed_memory
from thawline.machine.precision_choice import precision_of
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.fused import fuse_where_faster
from thawline.settings.data_settings import LoaderSettings
from thawline.training.datamodule import ImageDataModule

_BATCH = 64  # of the forward pass alone; that of the pass is Thawline's choice
_TIMED = 8  # batches, after two that are not timed
_MAX_BYTES = 10**11
_SEED = 0


class RandomImages:
    """A source of noise; all of its images are kept from the start, so that none is loaded."""

    name = "noise"
    class_names: Sequence[str] = ("noise",)

    def __init__(self, num_images: int) -> None:
        self.labels = np.zeros(num_images, dtype=np.int64)
        self.groups = np.arange(num_images, dtype=np.int64)
        self.splits: Mapping[Split, IntArray] = {}

    def load(self, index: int) -> Image.Image:
        raise AssertionError(f"image {index} is not kept")

    def describe(self, index: int) -> str:
        return f"noise {index}"

    def fingerprint(self) -> str:
        return f"noise-{len(self.labels)}"


def held(backbone: Backbone, *counts: int) -> list[SplitDataset]:
    """So many random images as a run holds decoded ones: uint8, in memory (`data.keep_decoded`).

    One dataset per count, the largest count first; the smaller ones hold the same images.
    """
    size, kept = backbone.input.size, KeptImages(float("inf"))
    generator = torch.Generator().manual_seed(_SEED)
    for index in range(counts[0]):
        kept.put(("transformed", index), torch.randint(0, 256, (3, size, size), dtype=torch.uint8, generator=generator))
    sources = [RandomImages(count) for count in counts]
    return [eval_dataset(source, backbone, kept) for source in sources]


def eval_dataset(source: ImageSource, backbone: Backbone, kept: KeptImages | None = None) -> SplitDataset:
    every = np.arange(len(source.labels), dtype=np.int64)
    transform = eval_transform(backbone.input)
    return SplitDataset(source, every, transform=transform, seed=_SEED, random_views=False, keep=kept)


def pass_s(
    dataset: SplitDataset, backbone: Backbone, device: torch.device, folder: Path, *, num_workers: int = 0
) -> float:
    """Seconds of one pass into an empty cache, the way a run makes it."""
    wanted, cut = Wanted(dataset, 1, random_views=False), backbone.num_stages
    dtype = precision_of("auto", described(device)).prefix
    cache = FeatureCache(folder / f"cache-{time.perf_counter_ns()}", max_bytes=_MAX_BYTES)
    start = time.perf_counter()
    fused = fuse_where_faster(backbone, cut, dtype=dtype, device=device)
    compiled = compiles_pass("auto", device.type, num_images=wanted.num_rows)
    together = pass_batch(device.type)
    mode = choose_mode(dtype=dtype, fused=fused is not None, compiled=compiled, batch_size=_BATCH, together=together)
    fill([wanted], backbone, [Tap(cut)], Extraction(cache, mode, device, fused, num_workers))
    return time.perf_counter() - start


def forward_rates(model: nn.Module, images: Tensor) -> dict[str, float]:
    """Images per second through the model, in every way tried: normalised images, (B, 3, S, S), in memory."""
    import torch._inductor.config as inductor

    model = copy.deepcopy(model).to(memory_format=torch.channels_last)
    low, low_images = copy.deepcopy(model).bfloat16(), images.bfloat16()
    compiled = torch.compile(low, dynamic=False)
    with torch.inference_mode():
        rates = {
            "eager fp32": _rate(lambda: model(images), images),
            "eager bf16": _rate(lambda: low(low_images), images),
        }
    with torch.no_grad(), inductor.patch(freezing=True):
        rates["compiled bf16"] = _rate(lambda: compiled(low_images), images)
    return rates


def _rate(forward: Callable[[], object], images: Tensor) -> float:
    seconds = []
    for _ in range(_TIMED + 2):
        start = time.perf_counter()
        forward()
        if images.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return len(images) / statistics.median(seconds[2:])


def from_disk(backbone: Backbone, device: torch.device, folder: Path, root: Path) -> dict[str, float]:
    """The pass over the image folder, and the time that decoding and transforming the same images takes alone."""
    source = FolderSource(root=root)
    run = ImageDataModule(source, spec=backbone.input, loader=LoaderSettings(), seed=_SEED, kind=device.type)
    dataset = eval_dataset(source, backbone)
    start = time.perf_counter()
    for index in range(len(dataset)):
        dataset[(0, index)]
    decode_s = time.perf_counter() - start
    whole_s = pass_s(dataset, backbone, device, folder, num_workers=run.num_workers)
    return {"disk": len(dataset) / whole_s, "disk_decode_share": decode_s / whole_s}


def main(folder: Path, root: Path, num_images: int, size: int) -> dict[str, object]:
    """Forward rates last: their compiled code must not serve the pass, which pays for its own."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        keep_freed_memory()
    backbone = build_backbone("tf_efficientnet_lite0", weights="none", image_size=size).to(device).eval()
    disk = from_disk(backbone, device, folder, root)
    whole, half = held(backbone, num_images, num_images // 2)
    first_s = pass_s(whole, backbone, device, folder)
    # Of two more passes of different length, the difference holds no compiling.
    again_s, half_s = (pass_s(d, backbone, device, folder) for d in (whole, half))
    steady = (num_images - num_images // 2) / (again_s - half_s)
    images = backbone.normalize(torch.randint(0, 256, (_BATCH, 3, size, size), dtype=torch.uint8, device=device))
    rates = forward_rates(backbone.model, images)
    return {"memory": num_images / first_s, "memory_steady": steady, "forward": rates, **disk}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
