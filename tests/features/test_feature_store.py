"""A stored array gives back what was written, bit for bit, or says that it cannot be trusted."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from thawline.errors import UserError
from thawline.features import feature_store as store
from thawline.features.feature_store import ArraySpec, CorruptStore, StoredArray, StoreWriter


def write(folder: Path, rows: torch.Tensor, *, dtype: str = "float32", batch: int = 3) -> None:
    writer = StoreWriter(folder, ArraySpec(tuple(rows.shape[1:]), dtype), about={"what": "test"})
    for start in range(0, len(rows), batch):
        writer.append(rows[start : start + batch])
    writer.close()


@pytest.mark.parametrize(
    ("name", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)]
)
def test_rows_come_back_bit_for_bit_from_any_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, dtype: torch.dtype
) -> None:
    rows = torch.randn(11, 2, 3).to(dtype)
    monkeypatch.setattr(store, "SHARD_BYTES", 4 * rows[0].numel() * rows.element_size())  # 4 rows a shard
    write(tmp_path / "s", rows, dtype=name)
    assert len(list((tmp_path / "s").glob("*.safetensors"))) == 3
    array = StoredArray(tmp_path / "s")
    assert (len(array), array.spec.row, array.about) == (11, (2, 3), {"what": "test"})
    wanted = [10, 0, 4, 4, 3]
    assert torch.equal(array.rows(wanted), rows[wanted])
    assert array.rows([0]).dtype == dtype
    assert array.num_bytes == 11 * rows[0].numel() * rows.element_size()


def test_what_fp16_cannot_hold_is_one_line(tmp_path: Path) -> None:
    rows = torch.tensor([[1.0, 70_000.0]]).half()
    with pytest.raises(UserError, match=r"trainer\.precision: .*too large for fp16; use 32-true"):
        write(tmp_path / "s", rows, dtype="float16")
    write(tmp_path / "t", torch.tensor([[1.0, float("inf")]]))  # in fp32 the solver says it


def test_a_shard_is_a_safetensors_file(tmp_path: Path) -> None:
    rows = torch.randn(3, 2).to(torch.bfloat16)
    write(tmp_path / "s", rows, dtype="bfloat16")
    read = load_file(tmp_path / "s" / "00000.safetensors")
    assert list(read) == ["rows"]
    assert torch.equal(read["rows"], rows)
    modes = {path.stat().st_mode for path in (tmp_path / "s").iterdir()}
    assert len(modes) == 1  # whoever may read the description may read the rows


def test_a_disk_without_room_is_an_os_error(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    writer = StoreWriter(tmp_path / "s", ArraySpec((64,), "float32"), about={})
    writer.append(torch.zeros(64, 64))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"00000\.safetensors.*File too large"):
            writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_nothing_is_there_before_the_end_and_nothing_is_left_by_one_who_gives_up(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "s", ArraySpec((2,), "float32"), about={})
    writer.append(torch.zeros(5, 2))
    assert not (tmp_path / "s").exists()
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_of_two_writers_the_first_wins_and_the_second_leaves_nothing(tmp_path: Path) -> None:
    first, second = (StoreWriter(tmp_path / "s", ArraySpec((1,), "float32"), about={}) for _ in range(2))
    second.part = second.part.with_name("s.other.part")
    second.part.mkdir()
    for writer, value in ((first, 1.0), (second, 2.0)):
        writer.append(torch.full((2, 1), value))
    first.close()
    second.close()
    assert StoredArray(tmp_path / "s").rows([0, 1]).tolist() == [[1.0], [1.0]]
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def flip_a_bit(folder: Path) -> None:
    path = folder / "00000.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def cut_short(folder: Path) -> None:
    path = folder / "00000.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (flip_a_bit, "its checksum is another"),
        (cut_short, "missing or cut short"),
        (lambda folder: (folder / "00000.safetensors").unlink(), "missing or cut short"),
        (lambda folder: (folder / "meta.json").unlink(), "meta.json"),
        (lambda folder: (folder / "meta.json").write_text("{"), "meta.json"),
        (lambda folder: (folder / "meta.json").write_text(json.dumps({"row": [1]})), "meta.json"),
    ],
)
def test_a_corrupt_store_is_not_opened(tmp_path: Path, spoil: object, says: str) -> None:
    write(tmp_path / "s", torch.randn(4, 2))
    spoil(tmp_path / "s")  # type: ignore[operator]
    with pytest.raises(CorruptStore, match=says):
        StoredArray(tmp_path / "s")
