"""Two processes on shards behind a web server, from the command line: each image once an epoch, exact test metrics."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bucket import Bucket, served
from PIL import Image
from shard_files import encoded_image, tar_of

from thawline.callbacks.mistakes import NUM_SHOWN

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.num_workers=0")
TINY += ("trainer.accelerator=cpu", "data.augment=none", "cache.enabled=false", "trainer.precision=32-true")
TINY += ("strategy.batchnorm=eval", "trainer.max_epochs=2", "data.keep_decoded=false")
SIZES = {"train": 24, "val": 21, "test": 21}


def filled(bucket: Bucket) -> None:
    """Two shards of each split."""
    rng = np.random.default_rng(0)
    for split, size in SIZES.items():
        members = []
        for number in range(size):
            image = Image.fromarray(rng.integers(0, 200, (32, 32, 3), dtype=np.uint8))
            label = b"dog" if number % 2 else b"cat"
            members.append([(f"{number:03}.png", encoded_image(image)), (f"{number:03}.cls", label)])
        for number, half in enumerate((members[: size // 2], members[size // 2 :])):
            bucket.files[f"{split}-{number}.tar"] = tar_of([member for pair in half for member in pair])


def run(bucket: Bucket, out: Path, *start: str, processes: int, batch_size: int) -> dict[str, Any]:
    """run.json."""
    numbers = (f"trainer.devices={processes}", f"data.batch_size={batch_size}")
    where = ("data=webdataset", f"data.shards={bucket.url}/*.tar", f"output_dir={out}", f"cache.dir={out}_cache")
    command = [sys.executable, *start, str(ROOT / "train.py"), *where, *TINY, *numbers]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("66 images (24 train, 21 val, 21 test)") == 1  # one process talks
    (folder,) = (out / "small_different").iterdir()
    record: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return record


def reads(bucket: Bucket) -> dict[str, list[int]]:
    """How often each image was asked for."""
    number = Counter(image for image in bucket.asked if image[1])  # lists are read from the front
    return {split: [number[image] for image in number if image[0].startswith(split)] for split in SIZES}


def test_two_processes_read_each_image_once_an_epoch_and_test_exactly(tmp_path: Path) -> None:
    torchrun = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone")
    with served() as bucket:
        filled(bucket)
        one = run(bucket, tmp_path / "one", processes=1, batch_size=8)
        by_one = reads(bucket)
        bucket.asked.clear()
        two = run(bucket, tmp_path / "two", *torchrun, processes=2, batch_size=4)
        by_two = reads(bucket)
    assert two["machine"]["processes"] == 2
    assert two["metrics"] == pytest.approx(one["metrics"], abs=1e-5)
    assert two["classes"]["confusion"] == one["classes"]["confusion"]
    assert np.sum(two["classes"]["confusion"]) == SIZES["test"]
    # Each image once to look at it; then train and val in each of two epochs and to calibrate, test in the test,
    # for the projector, and the worst mistakes to show them.
    assert by_two["train"] == by_one["train"] == [4] * SIZES["train"]
    assert by_two["val"] == by_one["val"] == [4] * SIZES["val"]
    mistakes = SIZES["test"] - int(np.trace(two["classes"]["confusion"]))
    shown = min(mistakes, NUM_SHOWN)
    for by in (by_one, by_two):
        assert sorted(by["test"]) == [3] * (SIZES["test"] - shown) + [4] * shown
