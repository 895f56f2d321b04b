"""The cache finds what was stored under the same key, and stays within its limit."""

import errno
import os
from pathlib import Path

import pytest
import torch

from thawline.features.feature_cache import FeatureCache, cache_key
from thawline.features.feature_store import ArraySpec

ROW = ArraySpec((256,), "float32")  # 1,024 bytes


def put(cache: FeatureCache, name: str, *, used: float) -> None:
    (writer,) = cache.writers([{"name": name}], [ROW], num_rows=10)
    writer.append(torch.zeros(10, 256))
    writer.close()
    for path in (cache.folder / cache_key({"name": name})).iterdir():
        os.utime(path, (used, used))


def names(cache: FeatureCache) -> list[str]:
    return [entry.about["name"] for entry in cache.entries()]


def test_what_was_stored_is_found_and_another_key_is_a_miss(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache", max_bytes=10**6)
    assert cache.get({"name": "a"}) is None
    put(cache, "a", used=1.0)
    store = cache.get({"name": "a"})
    assert store is not None
    assert len(store) == 10
    assert cache.get({"name": "b"}) is None


def test_the_key_does_not_depend_on_the_order_and_does_on_every_value() -> None:
    assert cache_key({"a": 1, "b": 2}) == cache_key({"b": 2, "a": 1})
    assert len({cache_key({"a": 1, "b": 2}), cache_key({"a": 1, "b": 3}), cache_key({"a": 1})}) == 3


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, max_bytes=35_000)  # three stores of 10 kB, and a little
    for number, name in enumerate("abc"):
        put(cache, name, used=1000.0 + number)
    assert cache.get({"name": "a"}) is not None  # used now, so b is the oldest
    put(cache, "d", used=3000.0)
    assert sorted(names(cache)) == ["a", "c", "d"]


def test_more_than_the_limit_is_refused_and_nothing_is_removed(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, max_bytes=12_000)
    put(cache, "a", used=1.0)
    with pytest.raises(OSError, match=r"more than cache\.max_gb"):
        cache.writers([{"name": "b"}], [ROW], num_rows=12)
    assert names(cache) == ["a"]


def test_a_corrupt_store_is_a_miss_and_can_be_made_again(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, max_bytes=10**6)
    put(cache, "a", used=1.0)
    next(iter((tmp_path / cache_key({"name": "a"})).glob("*.safetensors"))).write_bytes(b"")
    assert cache.get({"name": "a"}) is None
    put(cache, "a", used=1.0)
    assert cache.get({"name": "a"}) is not None


def test_who_reads_a_damaged_store_keeps_reading_while_it_is_made_again(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, max_bytes=10**6)
    put(cache, "a", used=1.0)
    reads = cache.get({"name": "a"})
    assert reads is not None
    (tmp_path / cache_key({"name": "a"}) / "meta.json").write_text("{")
    assert cache.get({"name": "a"}) is None  # looking removes nothing
    before = {path.name for path in tmp_path.rglob("*.safetensors")}
    put(cache, "a", used=1.0)
    (aside,) = tmp_path.glob("*.part")
    assert {path.name for path in aside.iterdir()} == before | {"meta.json"}
    assert torch.equal(reads.rows([9]), torch.zeros(1, 256))
    put(cache, "b", used=1.0)
    assert aside.is_dir()  # until it is a day old
    os.utime(aside, (1.0, 1.0))
    for path in aside.iterdir():
        os.utime(path, (1.0, 1.0))
    put(cache, "c", used=1.0)
    assert not aside.exists()


@pytest.mark.parametrize("opened", ["read_json", "memmap", "stat"])
@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.EIO])
def test_a_store_that_cannot_be_read_now_is_no_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: str, number: int
) -> None:
    cache = FeatureCache(tmp_path, max_bytes=10**6)
    put(cache, "a", used=1.0)

    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        if opened == "stat":
            stat = Path.stat
            broken.setattr(Path, "stat", lambda p, **how: fails() if p.suffix == ".safetensors" else stat(p, **how))
        else:
            broken.setattr(f"thawline.features.feature_store.{'np.' * (opened == 'memmap')}{opened}", fails)
        with pytest.raises(OSError, match=os.strerror(number)):
            cache.get({"name": "a"})
        with pytest.raises(OSError, match=os.strerror(number)):
            cache.writers([{"name": "a"}], [ROW], num_rows=10)
    store = cache.get({"name": "a"})
    assert store is not None
    assert len(store) == 10


def test_a_store_that_cannot_be_renamed_is_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where a process has one of its files open."""
    cache = FeatureCache(tmp_path, max_bytes=10**6)
    put(cache, "a", used=1.0)

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as windows:
        windows.setattr(os, "rename", refused)
        cache.remove(cache.entries()[0])
    assert cache.get({"name": "a"}) is not None
    cache.remove(cache.entries()[0])
    assert list(tmp_path.iterdir()) == []


def test_stores_that_are_written_together_need_room_together(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, max_bytes=15_000)
    with pytest.raises(OSError, match=r"more than cache\.max_gb"):
        cache.writers([{"name": "a"}, {"name": "b"}], [ROW, ROW], num_rows=10)
    assert names(cache) == []


def test_a_cache_that_may_only_be_read_still_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = FeatureCache(tmp_path, max_bytes=10**6)
    put(cache, "a", used=1.0)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "utime", refused)
    assert cache.get({"name": "a"}) is not None
    assert names(cache) == ["a"]
