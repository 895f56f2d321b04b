"""A data set of Hugging Face's, saved on disk: images, classes, splits, groups, and what is wrong in one line."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from shard_files import check, encoded, encoded_image

from thawline.data.sources import huggingface as module
from thawline.data.sources.huggingface import HuggingFaceSource
from thawline.data.sources.huggingface_columns import columns_of
from thawline.errors import UserError


@pytest.fixture(scope="module")
def datasets() -> Any:
    library = pytest.importorskip("datasets")
    library.disable_progress_bars()
    return library


def made(datasets: Any, first: int, count: int, **more: list[Any]) -> Any:
    """Images `first`, `first` + 1, ..., odd ones dogs, even ones cats; the classes stand in another order."""
    numbers = range(first, first + count)
    images = [{"bytes": encoded(number), "path": f"{number}.png"} for number in numbers]
    columns = {"img": images, "labels": [1 - number % 2 for number in numbers], **more}
    kinds = {"img": datasets.Image(), "labels": datasets.ClassLabel(names=["dog", "cat"])}
    kinds |= {name: datasets.Value("string") for name in more}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))


def test_one_set_without_splits(datasets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    made(datasets, 0, 8).save_to_disk(tmp_path / "pets", num_shards=3)
    source = HuggingFaceSource(root=tmp_path / "pets")
    check(source, 8)
    assert (source.name, source.splits, source.describe(5)) == ("pets", {}, "images/6/5.png")
    again = pickle.loads(pickle.dumps(source))  # as a worker process gets it
    assert again.load(7).tobytes() == source.load(7).tobytes()


def test_the_given_splits_and_groups(datasets: Any, tmp_path: Path) -> None:
    parts = {"train": (0, 6, "aabbcc"), "validation": (6, 2, "dd"), "test": (8, 4, "eeff")}
    sets = {name: made(datasets, at, count, patient=list(ids)) for name, (at, count, ids) in parts.items()}
    datasets.DatasetDict(sets).save_to_disk(tmp_path)
    source = HuggingFaceSource(root=tmp_path, columns={"group": "patient"})
    check(source, 12)
    assert {split: rows.tolist() for split, rows in source.splits.items()} == {
        "train": [0, 1, 2, 3, 4, 5], "val": [6, 7], "test": [8, 9, 10, 11],
    }  # fmt: skip
    assert source.group_names.tolist() == list("aabbccddeeff")
    assert len(set(source.groups.tolist())) == 6
    sets["test"] = made(datasets, 8, 4, patient=list("aeff"))
    datasets.DatasetDict(sets).save_to_disk(tmp_path / "divided")
    with pytest.raises(UserError, match="group 'a' lies in train and in test"):
        HuggingFaceSource(root=tmp_path / "divided", columns={"group": "patient"})


def test_the_images_stay_in_their_files(datasets: Any, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    images = [{"bytes": encoded(number) + bytes(1_000_000), "path": None} for number in range(4)]
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    datasets.Dataset.from_dict({"image": images, "label": [0, 1, 0, 1]}, features=kinds).save_to_disk(tmp_path)
    usual = arrow.default_memory_pool()
    counting = arrow.proxy_memory_pool(usual)
    arrow.set_memory_pool(counting)
    try:
        HuggingFaceSource(root=tmp_path, verify=False).load(3)
    finally:
        arrow.set_memory_pool(usual)
    assert counting.max_memory() < 1_000_000


def test_bytes_and_paths_in_plain_columns(datasets: Any, tmp_path: Path) -> None:
    kinds = ["cat", "dog"] * 2
    datasets.Dataset.from_dict({"raw": [encoded(n) for n in range(4)], "kind": kinds}).save_to_disk(tmp_path / "raw")
    check(HuggingFaceSource(root=tmp_path / "raw", columns={"image": "raw", "label": "kind"}), 4)
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(encoded(number))
    paths = [str(tmp_path / f"{number}.png") if number else "../0.png" for number in range(4)]
    datasets.Dataset.from_dict({"file": paths, "kind": kinds}).save_to_disk(tmp_path / "paths")
    check(HuggingFaceSource(root=tmp_path / "paths", columns={"image": "file", "label": "kind"}), 4)


def test_large_jpegs_are_decoded_smaller(datasets: Any, tmp_path: Path) -> None:
    photo = encoded_image(Image.effect_noise((640, 480), 50).convert("RGB"), kind="JPEG")
    images = [{"bytes": photo, "path": None}] + [{"bytes": encoded(n), "path": None} for n in range(3)]
    columns = {"img": images, "labels": ["a", "a", "b", "b"]}
    kinds = datasets.Features({"img": datasets.Image(), "labels": datasets.Value("string")})
    datasets.Dataset.from_dict(columns, features=kinds).save_to_disk(tmp_path)
    source = HuggingFaceSource(root=tmp_path, columns={"label": "labels"}, verify=False)
    assert source.load(0).size == (640, 480)
    source.pixels = source.pixels.__class__(shorter=120)
    assert source.load(0).size == (160, 120)
    assert source.describe(0) == "images/1"


def test_reading_is_stored_until_the_files_change(
    datasets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(datasets, 0, 4).save_to_disk(tmp_path / "set")
    first = HuggingFaceSource(root=tmp_path / "set", scan_dir=str(tmp_path / "cache"))
    with monkeypatch.context() as patch:
        patch.setattr("thawline.data.sources.packed_images.read_rows", lambda *_: pytest.fail("decoded again"))
        second = HuggingFaceSource(root=tmp_path / "set", scan_dir=str(tmp_path / "cache"))
    assert second.fingerprint() == first.fingerprint()
    made(datasets, 4, 4).save_to_disk(tmp_path / "set")
    third = HuggingFaceSource(root=tmp_path / "set", scan_dir=str(tmp_path / "cache"))
    assert third.fingerprint() != first.fingerprint()


def test_damaged_rows_and_labels_that_are_not_told(datasets: Any, tmp_path: Path) -> None:
    columns = {"image": [encoded(0), b"<html>", encoded(1), encoded(2), encoded(3)], "label": list("ababa")}
    datasets.Dataset.from_dict(columns).save_to_disk(tmp_path / "damaged")
    names = {"image": "image", "label": "label"}
    with pytest.raises(UserError, match="unreadable image damaged, image 2 of all"):
        HuggingFaceSource(root=tmp_path / "damaged", columns=names)
    assert len(HuggingFaceSource(root=tmp_path / "damaged", columns=names, on_unreadable="skip").labels) == 4
    hidden = made(datasets, 4, 2)
    hidden = hidden.map(lambda _: {"labels": -1}, load_from_cache_file=False)
    datasets.DatasetDict({"train": made(datasets, 0, 4), "test": hidden}).save_to_disk(tmp_path / "hidden")
    with pytest.raises(UserError, match="split test, row 1 has an empty label"):
        HuggingFaceSource(root=tmp_path / "hidden")


def test_splits_of_other_names(datasets: Any, tmp_path: Path) -> None:
    sets = {"train": made(datasets, 0, 4), "unsupervised": made(datasets, 4, 4)}
    datasets.DatasetDict(sets).save_to_disk(tmp_path / "other")
    with pytest.raises(UserError, match="the split 'unsupervised' is none of train, val, test; leave it out"):
        HuggingFaceSource(root=tmp_path / "other")
    datasets.DatasetDict({"test": sets["train"]}).save_to_disk(tmp_path / "test")
    with pytest.raises(UserError, match="has no split train; its splits are test"):
        HuggingFaceSource(root=tmp_path / "test")


def test_no_such_set(datasets: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.root is not set: give data.root=DIR, a folder that holds what save_to"):
        HuggingFaceSource(root=None)
    with pytest.raises(UserError, match=r"is not what save_to_disk .* wrote; save a set with load_dataset"):
        HuggingFaceSource(root=tmp_path)
    made(datasets, 0, 4).save_to_disk(tmp_path / "set")
    (file,) = (tmp_path / "set").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match=r"cannot be read .*; save the set anew"):
        HuggingFaceSource(root=tmp_path / "set")


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_datasets(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(module, "importlib", SimpleNamespace(import_module=no_datasets))
    with pytest.raises(UserError, match=r'takes a package: pip install "thawline\[hf\]"'):
        HuggingFaceSource(root=tmp_path)


def kind(name: str, dtype: str = "") -> Any:
    """Stands for a type of `datasets`."""
    return type(name, (), {"dtype": dtype})()


FEATURES = {"photo": kind("Image"), "mask": kind("Image"), "label": kind("ClassLabel", "int64"),
            "age": kind("Value", "float32"), "tags": kind("List")}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {},
            r"2 columns of the type Image; it has photo \(Image\), mask .*; name the image with data\.columns\.image=",
        ),
        ({"image": "photo", "label": "age"}, "the column 'age' is float32; needed is one class an image"),
        ({"image": "photo", "label": "tags"}, "the column 'tags' is List; needed is one class an image"),
        ({"image": "age"}, "the column 'age' is float32; needed is an image, its bytes or its path"),
        ({"image": "picture"}, r"has no column 'picture' \(data\.columns\.image\)"),
        ({"split": "age"}, r"data\.columns\.split: no such column; allowed are image, label, group"),
    ],
)
def test_columns_that_cannot_be_used(given: dict[str, str | None], line: str) -> None:
    with pytest.raises(UserError, match=line):
        columns_of(FEATURES, given, "data.root=DIR")
