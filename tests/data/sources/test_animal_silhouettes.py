"""The package's pickles are read only where they are the known ones, and only as arrays. The package itself, which asks
for TensorFlow, is not needed here: files of the same form stand in for it."""

import gzip
import hashlib
import importlib.util
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thawline.data.sources import animal_silhouettes
from thawline.data.sources.animal_silhouettes import AnimalSilhouettes
from thawline.errors import UserError

Write = Callable[[Any, Any], None]
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
PIXELS[1] = PIXELS[0]
LABELS = np.arange(40) % 10


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the two files and makes their digests the known ones."""
    folder = tmp_path / "data" / "Animal_MNIST"
    folder.mkdir(parents=True)
    monkeypatch.setattr(animal_silhouettes, "package_folder", lambda: tmp_path)

    def write(pixels: Any, labels: Any) -> None:
        for name, content in zip(animal_silhouettes._FILES, (pixels, labels), strict=True):
            packed = gzip.compress(pickle.dumps(content))
            (folder / name).write_bytes(packed)
            monkeypatch.setitem(animal_silhouettes._FILES, name, hashlib.sha256(packed).hexdigest())

    return write


def test_silhouettes_and_labels_are_the_files(package: Write) -> None:
    package(PIXELS, LABELS)
    source = AnimalSilhouettes()
    assert np.array_equal(np.asarray(source.load(7))[:, :, 1], PIXELS[7])
    assert source.labels.tolist() == LABELS.tolist()
    assert source.describe(7) == "animal_mnist row 7"
    assert source.groups[0] == source.groups[1]  # the same picture twice
    assert len(set(source.groups)) == 39
    assert np.bincount(AnimalSilhouettes(num_images=20).labels).tolist() == [2] * 10


class Canary:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.putenv, ("THAWLINE_CANARY", "dead")


def test_a_pickle_that_would_run_code_is_refused(package: Write) -> None:
    package(Canary(), LABELS)
    with pytest.raises(pickle.UnpicklingError, match="putenv is not allowed"):
        AnimalSilhouettes()


def test_another_file_is_refused_before_it_is_opened(package: Write, tmp_path: Path) -> None:
    package(PIXELS, LABELS)
    path = tmp_path / "data" / "Animal_MNIST" / "animal_data_version_3.gz"
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(UserError, match=r"is not the file of animal_mnist 0.4; run pip install --no-deps"):
        AnimalSilhouettes()
    path.unlink()
    with pytest.raises(UserError, match=r"cannot be read \(No such file"):
        AnimalSilhouettes()


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install --no-deps animal_mnist==0.4"):
        AnimalSilhouettes()
