"""Shards give the images, classes and splits that were put into them; what is wrong with one is one line."""

import json
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from shard_files import check, encoded, shard, tar_of

from thawline.data.decode import decode_bytes
from thawline.data.sources import shard_index as module
from thawline.data.sources import shard_reading
from thawline.data.sources.shards import ShardSource
from thawline.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shards").mkdir()
    for number in range(2):
        (tmp_path / "shards" / f"{number:03}.tar").write_bytes(shard(6 * number, 6))
    return tmp_path / "shards"


def test_tar_shards_are_read_at_any_place(folder: Path) -> None:
    source = ShardSource(shards=f"{folder}/*.tar")
    check(source, 12)
    assert source.describe(7) == "001.tar/a/0007"
    assert (source.name, source.splits, len(set(source.groups.tolist()))) == ("shards", {}, 12)
    assert source.sizes is not None
    assert source.sizes[3].tolist() == [10, 8]
    again = pickle.loads(pickle.dumps(source))  # as a worker process gets it
    assert again.load(11).tobytes() == source.load(11).tobytes()


def test_the_index_is_made_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = {"shards": f"{folder}/{{000..001}}.tar", "index_dir": str(tmp_path / "cache")}
    first = ShardSource(**where)
    monkeypatch.setattr(module, "_rows", lambda *_, **__: pytest.fail("the shards were read again"))
    monkeypatch.setattr("thawline.data.sources.packed_images.read_rows", lambda *_: pytest.fail("decoded again"))
    second = ShardSource(**where)
    assert second.fingerprint() == first.fingerprint()
    check(second, 12)
    monkeypatch.undo()
    for path in (tmp_path / "cache" / "shards").iterdir():
        path.write_bytes(path.read_bytes()[:100])  # half written
    check(ShardSource(**where), 12)
    (folder / "001.tar").write_bytes(shard(6, 4))
    assert len(ShardSource(**where).labels) == 10


@pytest.mark.parametrize("protocol", ["memory", "file"])
def test_any_address_of_fsspec(protocol: str, folder: Path) -> None:
    address = f"file://{folder}"
    if protocol == "memory":
        address = "memory://bucket/shards"
        for path in folder.iterdir():
            fsspec.filesystem("memory").pipe_file(f"/bucket/shards/{path.name}", path.read_bytes())
    check(ShardSource(shards=f"{address}/*.tar"), 12)


def test_splits_are_named_by_the_shards(tmp_path: Path) -> None:
    for number, name in enumerate(("train-000", "train-001", "val-000", "test-000")):
        (tmp_path / f"{name}.tar").write_bytes(shard(4 * number, 4))
    source = ShardSource(shards=f"{tmp_path}/*.tar")
    assert {split: len(rows) for split, rows in source.splits.items()} == {"train": 8, "val": 4, "test": 4}
    (tmp_path / "more.tar").write_bytes(shard(40, 4))
    with pytest.raises(UserError, match=r"more\.tar names no split, and other shards do"):
        ShardSource(shards=f"{tmp_path}/*.tar")


def test_labels_in_json_and_the_image_by_its_extension(tmp_path: Path) -> None:
    members: list[tuple[str, bytes]] = []
    for number in range(4):
        members += [(f"{number}.mask.png", encoded(9)), (f"{number}.jpg", encoded(number, kind="JPEG"))]
        members += [(f"{number}.json", json.dumps({"kind": number % 2}).encode())]
    (tmp_path / "a.tar").write_bytes(tar_of(members))
    source = ShardSource(shards=str(tmp_path / "a.tar"), columns={"label": "kind", "image": "jpg"})
    assert (list(source.class_names), source.labels.tolist()) == (["0", "1"], [0, 1, 0, 1])
    assert source.load(2).size == (10, 8)


def test_parquet_as_hugging_face_writes_it(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    names = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    for split, first in (("train", 0), ("test", 6)):
        rows = [{"bytes": encoded(number), "path": None} for number in range(first, first + 6)]
        table = arrow.table({"image": rows, "label": [number % 2 for number in range(first, first + 6)]})
        table = table.replace_schema_metadata({"huggingface": json.dumps(names)})
        parquet.write_table(table, tmp_path / f"{split}-00000-of-00001.parquet", row_group_size=4)
    source = ShardSource(shards=[f"{tmp_path}/train-*.parquet", f"{tmp_path}/test-*.parquet"])
    assert list(source.class_names) == ["cat", "dog"]
    assert source.describe(0) == "test-00000-of-00001.parquet/1"
    assert source.load(5).tobytes() == decode_bytes(encoded(11)).tobytes()
    assert pickle.loads(pickle.dumps(source)).load(6).tobytes() == decode_bytes(encoded(0)).tobytes()
    path = tmp_path / "train-00000-of-00001.parquet"
    with pytest.raises(UserError, match="has no column 'img'; it has image, label; name it with"):
        ShardSource(shards=str(path), columns={"image": "img"})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="is cut off or no Parquet file"):
        ShardSource(shards=str(path))


def cut(data: bytes, size: int) -> bytes:
    return data[:size]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (cut(shard(0, 4), 1700), r"0\.tar is cut off after 1,700 bytes, behind a/0000\.cls; copy or make it anew"),
        (cut(shard(0, 4), 2048), r"is cut off after 2,048 bytes"),  # between two images
        (b"no tar file at all" * 100, r"0\.tar is no tar file"),
        (b"", r"0\.tar is no tar file"),
        (b"\x1f\x8b" + bytes(600), "is compressed, and images are read from any place in it; unpack it"),
        (
            tar_of([("x.png", encoded(0)), ("x.cls", b"a"), ("y.png", encoded(1)), ("y.cls", b"b")] * 2),
            "lists x twice, 2",
        ),
        (tar_of([("x.png", encoded(0)), ("x.png", encoded(0))]), r"lists x\.png twice"),
        (tar_of([("x.png", encoded(0))]), "0.tar: x has no label: no .cls and no .json lies beside"),
        (tar_of([("x.png", encoded(0)), ("x.json", b"{")]), r"x\.json is no JSON"),
        (tar_of([("x.png", encoded(0)), ("x.json", b'{"label": [1, 2]}')]), "has several labels"),
        (tar_of([("x.png", encoded(0)), ("x.jpg", encoded(0))]), "has several images of x"),
        (tar_of([("x.cls", b"1")]), "holds no image"),
        (tar_of([("x.png", encoded(0)), ("x.cls", b"a")]), "holds one class"),
        (
            tar_of([("x.png", encoded(0)), ("x.cls", b"a"), ("y.png", b"no"), ("y.cls", b"b")]),
            "unreadable image 0.tar, image 2 of all.*; repair it, or set data.on_unreadable=skip",
        ),
    ],
)
def test_a_wrong_shard_is_one_line(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / "0.tar").write_bytes(content)
    with pytest.raises(UserError, match=line):
        ShardSource(shards=str(tmp_path / "0.tar"))


@pytest.mark.parametrize(
    ("shards", "line"),
    [
        (None, "data.shards is not set"),
        ("nowhere/*.tar", r"data.shards=nowhere/\*.tar: no file matches"),
        ("nowhere/a.tar", "data.shards=nowhere/a.tar: no such file"),
        ("strange://a.tar", "data.shards=strange://a.tar: .*; give a path, or an address that fsspec knows"),
    ],
)
def test_a_wrong_place_is_one_line(shards: str | None, line: str) -> None:
    with pytest.raises(UserError, match=line):
        ShardSource(shards=shards)


def test_a_bucket_is_tried_three_times(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_reading, "_WAIT_S", 0.0)
    source, system = ShardSource(shards=f"{folder}/*.tar"), fsspec.filesystem("file")
    tries: list[int] = []

    def slow(*_: Any, **__: Any) -> bytes:
        tries.append(1)
        raise TimeoutError("the bucket does not answer")

    monkeypatch.setattr(type(system), "cat_file", slow)
    with pytest.raises(UserError, match=r"000\.tar: cannot be read after 3 tries \(the bucket does not answer\)"):
        source.load(0)
    assert len(tries) == 3


def test_what_two_processes_need_one_of_them_makes(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> tuple[dict[str, Any], bool]:
        made.append(1)
        time.sleep(0.2)
        return {"a": np.arange(3)}, True

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: module.stored_or_made(tmp_path / "new" / "x.npz", ("a",), make), range(2)))
    assert [one["a"].tolist() for one in both] == [[0, 1, 2]] * 2
    assert len(made) == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.npz"]
