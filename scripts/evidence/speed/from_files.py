"""Decoding at a reduced scale, and epochs from the temporary file: python -m speed.from_files, for docs/images.md.

    python -m speed.from_files --differences        # how much reduced decoding changes the model's input; a minute
    python -m speed.from_files --images 5000        # the times

Images are the embedded photographs, resized, as JPEG of quality 90. Full and reduced decoding take turns, and so do the
epochs of torchvision's ImageFolder and of Thawline, so that other work on the machine slows both.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from thawline.data import keep
from thawline.data.decode import Pixels, decode, decode_bytes
from thawline.data.input_spec import IMAGENET
from thawline.data.sources.folder import FolderSource
from thawline.data.sources.photo_crops import PHOTOS, photo_path
from thawline.data.transforms import eval_transform
from thawline.settings.cache_settings import CacheSettings
from thawline.settings.data_settings import LoaderSettings
from thawline.training.datamodule import ImageDataModule

_SIZES = ((500, 375), (4000, 3000))
_COMPARED = (1024, 1025, 2048, 2049, 3000, 3001)  # shorter sides in pixels
_ROUNDS = 5
_BATCH = 32
_EPOCHS = 3


def main() -> None:
    """Print the table of differences, or those of times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000, help="for the epochs")
    parser.add_argument("--differences", action="store_true", help="the pixels instead of the times")
    arguments = parser.parse_args()
    if arguments.differences:
        print("| shorter side | mean difference | largest mean of one | largest |\n|---:|---:|---:|---:|")
        for side in _COMPARED:
            _differences(side)
        return
    number = arguments.images
    print("| files | decoding | images/s | CPU ms an image | CPU, times as fast |\n|---|---|---:|---:|---:|")
    for size in _SIZES:
        _decoding(size)
    print("| epoch | ImageFolder, images/s | Thawline, images/s | times as fast |\n|---|---:|---:|---:|")
    _epochs(number)
    print(f"load of the machine: {os.getloadavg()[0]:.1f}, cores: {os.cpu_count()}")


def _differences(shorter: int) -> None:
    """Levels of 255 between the model's input from the reduced and from the whole file, over the photographs."""
    transform, means, largest = eval_transform(IMAGENET), [], 0
    for photo in map(decode, map(photo_path, PHOTOS)):
        longest = 8 * round(max(photo.size) * shorter / min(photo.size) / 8) + shorter % 2  # odd sides come together
        size = (longest, shorter) if photo.width >= photo.height else (shorter, longest)
        file = io.BytesIO()
        photo.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        whole, less = (
            transform(decode_bytes(file.getvalue(), pixels=Pixels(shorter=side))).int()
            for side in (None, transform.shorter)
        )
        difference = (whole - less).abs()
        means.append(float(difference.float().mean()))
        largest = max(largest, int(difference.max()))
    print(f"| {shorter:,} | {statistics.mean(means):.2f} | {max(means):.2f} | {largest} |", flush=True)


def _decoding(size: tuple[int, int]) -> None:
    """File to the model's input, in one thread."""
    with tempfile.TemporaryDirectory() as folder:
        files = [path.read_bytes() for path in written(Path(folder), size, len(PHOTOS))]
    transform = eval_transform(IMAGENET)
    measured: dict[int | None, list[tuple[float, float]]] = {None: [], transform.shorter: []}
    for _ in range(_ROUNDS):
        for side, seconds in measured.items():
            pixels = Pixels(shorter=side)
            seconds.append(_seconds(lambda: [transform(decode_bytes(data, pixels=pixels)) for data in files]))  # noqa: B023
    times = [[statistics.median(one) / len(files) for one in zip(*of_one, strict=True)] for of_one in measured.values()]
    for name, (wall_s, cpu_s) in zip(("in full", "reduced"), times, strict=True):
        ratio = times[0][1] / cpu_s
        print(f"| {size[0]} x {size[1]} | {name} | {1 / wall_s:,.0f} | {1e3 * cpu_s:.1f} | {ratio:.1f} |")


def _epochs(number: int) -> None:
    """Fixed views, no processes beside; memory is made out to be full, so that decoded images go to the file."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(keep, "available_memory", return_value=0):
        written(Path(folder, "images"), _SIZES[0], number)
        steps = (
            v2.Resize(256, interpolation=v2.InterpolationMode.BICUBIC),
            v2.CenterCrop(IMAGENET.size),
            v2.PILToTensor(),
        )
        theirs: Any = DataLoader(ImageFolder(Path(folder, "images"), v2.Compose(steps)), batch_size=_BATCH)
        settings = LoaderSettings(batch_size=_BATCH // 2, num_workers=0)
        cache = CacheSettings(dir=str(Path(folder, "cache")))
        source = FolderSource(root=Path(folder, "images"), verify=False)
        data = ImageDataModule(source, spec=IMAGENET, loader=settings, seed=0, kind="cpu", cache=cache)
        data.splits["val"] = np.arange(number)
        ours = data.val_dataloader()
        for epoch in range(1, _EPOCHS + 1):
            a, b = (number / _seconds(lambda: [None for _ in loader])[0] for loader in (theirs, ours))  # noqa: B023
            print(f"| {epoch} | {a:,.0f} | {b:,.0f} | {b / a:.1f} |")


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Of the clock, and of the process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def written(folder: Path, size: tuple[int, int], number: int) -> list[Path]:
    """So many JPEGs in class folders; after the twelve photographs come the same turned upside down, and so on."""
    photos = [decode(photo_path(photo)).resize(size, Image.Resampling.BICUBIC) for photo in PHOTOS[:number]]
    paths = []
    for image in range(number):
        path = folder / f"class_{image % 2}" / f"{image:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photos[image % len(photos)].rotate(image // len(photos) % 2 * 180).save(path, quality=90)
        paths.append(path)
    return paths


if __name__ == "__main__":
    main()
