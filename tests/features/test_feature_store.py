"""A stored array gives back what was written, bit for bit, or says that it cannot be trusted."""

import json
from pathlib import Path

import pytest
import torch

from thawline.features import feature_store as store
from thawline.features.feature_store import ArraySpec, CorruptStore, StoredArray, StoreWriter


def write(folder: Path, rows: torch.Tensor, *, dtype: str = "float32", batch: int = 3) -> None:
    writer = StoreWriter(folder, ArraySpec(tuple(rows.shape[1:]), dtype), about={"what": "test"})
    for start in range(0, len(rows), batch):
        writer.append(rows[start : start + batch])
    writer.close()


@pytest.mark.parametrize(("name", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_rows_come_back_bit_for_bit_from_any_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, dtype: torch.dtype
) -> None:
    rows = torch.randn(11, 2, 3).to(dtype)
    monkeypatch.setattr(store, "SHARD_BYTES", 4 * rows[0].numel() * rows.element_size())  # 4 rows a shard
    write(tmp_path / "s", rows, dtype=name)
    assert len(list((tmp_path / "s").glob("*.bin"))) == 3
    array = StoredArray(tmp_path / "s")
    assert (len(array), array.spec.row, array.about) == (11, (2, 3), {"what": "test"})
    wanted = [10, 0, 4, 4, 3]
    assert torch.equal(array.rows(wanted), rows[wanted])
    assert array.rows([0]).dtype == dtype
    assert array.num_bytes == 11 * rows[0].numel() * rows.element_size()


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
    path = folder / "00000.bin"
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)


def cut_short(folder: Path) -> None:
    path = folder / "00000.bin"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (flip_a_bit, "its checksum is another"),
        (cut_short, "missing or cut short"),
        (lambda folder: (folder / "00000.bin").unlink(), "missing or cut short"),
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
