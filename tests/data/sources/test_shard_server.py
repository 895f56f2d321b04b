"""Shards behind a web server that is slow, fails, refuses or gives no parts: read all the same, or one line."""

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
import torch
from bucket import Bucket, served
from shard_files import check, encoded, shard

from thawline.data.input_spec import IMAGENET
from thawline.data.sources import shard_reading
from thawline.data.sources.shards import ShardSource
from thawline.errors import UserError
from thawline.settings.data_settings import AugmentSettings, LoaderSettings
from thawline.training.datamodule import ImageDataModule

pytest.importorskip("aiohttp")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_reading, "_WAIT_S", 0.01)


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """Two tar shards of six images."""
    with served() as bucket:
        bucket.files |= {f"shards/{number:03}.tar": shard(6 * number, 6) for number in range(2)}
        yield bucket


def counted(bucket: Bucket) -> str:
    return f"{bucket.url}/shards/{{000..001}}.tar"


def test_shards_behind_a_web_server_are_read_in_parts(bucket: Bucket) -> None:
    source = ShardSource(shards=counted(bucket), verify=False)
    bucket.asked.clear()
    check(source, 12)
    assert len(bucket.asked) == 12
    assert {path for path, first in bucket.asked if first} == set(bucket.files)  # each a part, none from the front
    assert source.describe(7) == "001.tar/a/0007"
    check(ShardSource(shards=f"{bucket.url}/shards/*.tar"), 12)  # as its page lists them


def test_parquet_behind_a_web_server(bucket: Bucket, tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = {"image": [encoded(number) for number in range(6)], "label": ["cat", "dog"] * 3}
    file = io.BytesIO()
    parquet.write_table(arrow.table(rows), file, row_group_size=2)
    bucket.files["a.parquet"] = file.getvalue()
    check(ShardSource(shards=f"{bucket.url}/a.parquet"), 6)
    bucket.failing = [200, 200, 503, 0]  # after the size was asked for
    check(ShardSource(shards=f"{bucket.url}/a.parquet"), 6)
    bucket.files["a.parquet"] = file.getvalue()[:-20]
    with pytest.raises(UserError, match=r"data.shards: a\.parquet is cut off or no Parquet file"):
        ShardSource(shards=f"{bucket.url}/a.parquet")


@pytest.mark.parametrize("failing", [[500, 503], [0, 0], [429], [200, 200, 200, 500, 0], [200] * 6 + [503, 502]])
def test_a_server_that_fails_now_and_then_is_asked_again(failing: list[int], bucket: Bucket) -> None:
    bucket.failing = failing
    check(ShardSource(shards=counted(bucket)), 12)
    assert not bucket.failing


def test_a_server_that_keeps_failing_is_one_line(bucket: Bucket) -> None:
    source = ShardSource(shards=counted(bucket), verify=False)
    bucket.failing = [500] * 3
    with pytest.raises(UserError) as error:
        source.load(8)
    assert str(error.value) == (
        f"{bucket.url}/shards/001.tar: cannot be read after 3 tries (500 Internal Server Error); try again later"
    )
    check(source, 12)
    bucket.failing = [500] * 100
    with pytest.raises(UserError, match=r"data\.shards=.*: cannot be read after 3 tries \(500 Internal Server Error"):
        ShardSource(shards=counted(bucket))


def test_a_server_that_fails_leaves_out_no_image(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """`on_unreadable=skip` is for damaged images, not for those that could not be fetched."""
    monkeypatch.setattr(shard_reading.PatientFile, "close", lambda self: bucket.failing.extend([500] * 100))
    with pytest.raises(UserError, match="cannot be read after 3 tries"):
        ShardSource(shards=f"{bucket.url}/shards/000.tar", on_unreadable="skip")


def test_a_server_that_is_silent_is_one_line(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_reading, "_SILENT_S", 0.1)
    source = ShardSource(shards=counted(bucket), verify=False)
    bucket.delay_s = 0.05
    check(source, 12)  # slow is not silent
    bucket.delay_s = 0.6
    start = time.monotonic()
    with pytest.raises(UserError, match=r"001\.tar: cannot be read after 3 tries \(.*[Tt]imeout"):
        source.load(8)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("shards/002.tar", r"data\.shards=http://127\.0\.0\.1:\d+/shards/002\.tar: no such file"),
        ("shards/*.parquet", "no file matches"),
    ],
)
def test_what_the_server_lacks_is_one_line(path: str, line: str, bucket: Bucket) -> None:
    with pytest.raises(UserError, match=line):
        ShardSource(shards=f"{bucket.url}/{path}")


def test_no_server_is_one_line_without_the_secrets_of_the_address() -> None:
    with pytest.raises(UserError) as error:
        ShardSource(shards="http://me:secret@127.0.0.1:9/a.tar?signature=secret")
    assert str(error.value).startswith("data.shards=http://127.0.0.1:9/a.tar: cannot be read after 3 tries (")
    assert "secret" not in str(error.value)


def test_a_shard_that_goes_away_is_one_line(bucket: Bucket) -> None:
    source = ShardSource(shards=counted(bucket), verify=False)
    del bucket.files["shards/001.tar"]
    with pytest.raises(UserError, match=r"001\.tar: the shard is gone$"):
        source.load(8)


def test_a_server_without_parts_of_files_is_refused(bucket: Bucket) -> None:
    bucket.ranges = False
    with pytest.raises(UserError, match=r"000\.tar: the server gives no parts of a file .*; copy the shards to a disk"):
        ShardSource(shards=counted(bucket))


def test_a_cut_off_shard_behind_a_server_is_one_line(bucket: Bucket) -> None:
    bucket.files["shards/001.tar"] = bucket.files["shards/001.tar"][:1700]
    with pytest.raises(UserError, match=r"data\.shards: 001\.tar is cut off after 1,700 bytes, behind a/0006\.cls"):
        ShardSource(shards=counted(bucket))


def test_credentials_come_from_fsspecs_settings(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.token = "secret"
    with pytest.raises(UserError, match=r"data\.shards=.*: access is refused \(401 Unauthorized\); fsspec takes"):
        ShardSource(shards=counted(bucket))
    fsspec.config.set_conf_env(settings := {}, {"FSSPEC_HTTP": '{"headers": {"Authorization": "Bearer secret"}}'})
    monkeypatch.setitem(fsspec.config.conf, "http", settings["http"])
    source = ShardSource(shards=counted(bucket))
    check(source, 12)
    assert "secret" not in source.fingerprint()


def test_a_shard_that_was_replaced_is_read_anew(bucket: Bucket, tmp_path: Path) -> None:
    first = ShardSource(shards=counted(bucket), index_dir=str(tmp_path))
    bucket.asked.clear()
    ShardSource(shards=counted(bucket), index_dir=str(tmp_path))
    assert bucket.asked == []
    bucket.files["shards/001.tar"] = shard(20, 6)  # of the same size
    assert ShardSource(shards=counted(bucket), index_dir=str(tmp_path)).fingerprint() != first.fingerprint()


def test_ranks_and_workers_read_each_image_once_an_epoch(bucket: Bucket) -> None:
    bucket.files = {f"{split}.tar": shard(first, 12) for split, first in (("train", 0), ("val", 20), ("test", 40))}
    source = ShardSource(shards=f"{bucket.url}/*.tar", verify=False)
    loader = LoaderSettings(batch_size=3, num_workers=1, keep_decoded=False, augment=AugmentSettings(enabled=False))
    spec = replace(IMAGENET, size=8)
    bucket.asked.clear()
    for rank in range(2):
        data = ImageDataModule(source, spec=spec, loader=loader, seed=0, kind="cpu", rank=rank, world_size=2)
        for split in ("train", "test"):
            labels = torch.cat([labels for _, labels in getattr(data, f"{split}_dataloader")()])
            assert len(labels) == 6
    asked = [(path, first) for path, first in bucket.asked if first is not None]
    assert len(asked) == len(set(asked)) == 24  # of train and test, by whichever process


def test_of_an_error_in_several_lines_the_first_is_shown() -> None:
    assert shard_reading.line(OSError("no such host\nhttps://host/a.tar?signature=1")) == "no such host"
