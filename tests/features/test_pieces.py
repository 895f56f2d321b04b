"""Several processes share a pass: each image once, and the store is the one that one process writes."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from thawline.data.dataset import SplitDataset
from thawline.features import fill as fill_module
from thawline.features.extract import Mode, Tap
from thawline.features.feature_cache import FeatureCache
from thawline.features.fill import Extraction, fill
from thawline.features.pieces import has_piece, pieces_of, rows_of_pieces, share_of, write_pieces
from thawline.features.wanted import Wanted
from thawline.models.backbone import Backbone
from thawline.settings.data_settings import LoaderSettings
from thawline.training.datamodule import ImageDataModule

TAPS = [Tap(4), Tap(7, grid=1)]
FP32 = Mode(torch.float32, batch_size=4)
PAUSE_S = 10.0  # at most, for the other thread


@pytest.mark.parametrize("num_rows", [1, 4, 5, 37, 1000, 100_003])
@pytest.mark.parametrize("processes", [1, 2, 3, 64, 100])
def test_every_row_is_in_one_piece_of_one_process_and_no_batch_is_cut(num_rows: int, processes: int) -> None:
    pieces = pieces_of(num_rows, batch=4, processes=processes)
    shares = [share_of(pieces, rank=rank, size=processes) for rank in range(processes)]
    assert [piece for share in shares for piece in share] == pieces
    assert [row for piece in pieces for row in piece] == list(range(num_rows))
    assert all(piece.start % 4 == 0 for piece in pieces)
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    if processes <= 64:  # so that another number of processes goes on with them
        assert pieces == pieces_of(num_rows, batch=4, processes=1)


def test_pieces_come_back_in_order_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    pieces = pieces_of(10, batch=4, processes=2)
    rows = torch.arange(20.0).view(10, 2).bfloat16()
    write_pieces(([rows[at : at + 4]] for at in (0, 4, 8)), pieces, [tmp_path])
    assert torch.equal(torch.cat(list(rows_of_pieces(tmp_path, pieces))), rows)
    second = tmp_path / "000000000004.safetensors"
    save_file({"rows": load_file(second)["rows"] + 1}, second, metadata={"crc32": "1"})
    assert [has_piece(tmp_path, piece) for piece in pieces] == [True, False, True]
    second.write_bytes(second.read_bytes()[:-1])
    with pytest.raises(OSError, match=r"000000000004\.safetensors: a part of a store that was just written is gone"):
        list(rows_of_pieces(tmp_path, pieces))


class Threads:
    """A team of threads; where one fails, those that wait do too."""

    def __init__(self, size: int) -> None:
        self.all_came, self.said = threading.Barrier(size, timeout=PAUSE_S), list[str]()

    def member(self, rank: int) -> "Member":
        return Member(self, rank)


class Member:
    def __init__(self, threads: Threads, rank: int) -> None:
        self.threads, self.rank, self.size = threads, rank, threads.all_came.parties

    def look_around(self) -> None:
        pass

    def next_word_of_first(self, value: str) -> str:
        if self.rank == 0:
            self.threads.said.append(value)
        self.gather()
        return self.threads.said[-1]

    def gather(self) -> None:
        try:
            self.threads.all_came.wait()
        except threading.BrokenBarrierError as error:
            raise OSError("another failed") from error


@pytest.fixture
def images(tiny_backbone: Backbone, colours: Any) -> SplitDataset:
    """Without random views: torch's generator, which they draw from, is one for all threads."""
    loader = LoaderSettings(batch_size=4, num_workers=0)
    return ImageDataModule(colours, spec=tiny_backbone.input, loader=loader, seed=0).dataset("train")


def filled(images: SplitDataset, backbone: Backbone, folder: Path, *, processes: int) -> list[Any]:
    """What each process returns, or the error that it raises."""
    threads = Threads(processes)
    backbone.eval()

    def run(rank: int) -> Any:
        how = Extraction(FeatureCache(folder, max_bytes=10**9), FP32)
        how = replace(how, team=threads.member(rank)) if processes > 1 else how
        try:
            return fill([Wanted(images, 2, random_views=False)], backbone, TAPS, how)
        except OSError as error:
            threads.all_came.abort()
            return error

    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(run, range(processes)))


def shards(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}


Spy = Callable[[], list[int]]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Spy:
    """Rows that were computed since the last call, in order."""
    rows: list[int] = []
    keys_of = Wanted.keys

    def spying(self: Wanted, some: Any = None) -> Any:
        sampler = keys_of(self, some)
        rows.extend(view * len(self.dataset) + index for view, index in sampler)
        return sampler

    monkeypatch.setattr(Wanted, "keys", spying)

    def since() -> list[int]:
        taken = sorted(rows)
        rows.clear()
        return taken

    return since


def test_processes_that_share_a_pass_write_what_one_writes(
    tiny_backbone: Backbone, images: SplitDataset, tmp_path: Path, computed: Spy
) -> None:
    filled(images, tiny_backbone, tmp_path / "one", processes=1)
    everything = computed()
    assert len(everything) == 2 * len(images)
    both = filled(images, tiny_backbone, tmp_path / "three", processes=3)
    assert computed() == everything  # each once
    assert [len(array) for (arrays,) in both for array in arrays] == [len(everything)] * 6
    assert shards(tmp_path / "three") == shards(tmp_path / "one")
    assert not list((tmp_path / "three").glob("*.part"))
    filled(images, tiny_backbone, tmp_path / "three", processes=2)
    assert computed() == []


def test_an_interrupted_pass_goes_on_whatever_the_number_of_processes(
    tiny_backbone: Backbone, images: SplitDataset, tmp_path: Path, computed: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = fill_module.write_pieces

    def full(outputs: Any, pieces: Any, folders: Any) -> None:
        if pieces[0].start == 0:
            write(outputs, pieces, folders)
            return
        write((batch for batch, _ in zip(outputs, range(2), strict=False)), pieces, folders)
        raise OSError("no space left on device")

    monkeypatch.setattr(fill_module, "write_pieces", full)
    errors = filled(images, tiny_backbone, tmp_path / "cut", processes=2)
    assert sorted(map(str, errors)) == ["another failed", "no space left on device"]
    monkeypatch.setattr(fill_module, "write_pieces", write)
    everything = computed()
    filled(images, tiny_backbone, tmp_path / "cut", processes=3)
    again = computed()
    half = (len(everything) // 4 // 2) * 4  # what the first of two had
    assert again == everything[half + 8 :]
    filled(images, tiny_backbone, tmp_path / "one", processes=1)
    assert shards(tmp_path / "cut") == shards(tmp_path / "one")


def test_a_cache_that_a_process_does_not_see_is_told(
    tiny_backbone: Backbone, images: SplitDataset, tmp_path: Path
) -> None:
    threads = Threads(2)
    tiny_backbone.eval()

    def run(rank: int) -> BaseException | None:
        cache = FeatureCache(tmp_path / str(rank), max_bytes=10**9)
        try:
            fill(
                [Wanted(images, 1, random_views=False)],
                tiny_backbone,
                TAPS,
                Extraction(cache, FP32, team=threads.member(rank)),
            )
        except OSError as error:
            threads.all_came.abort()
            return error
        return None

    with ThreadPoolExecutor(2) as pool:
        _, second = pool.map(run, range(2))
    assert str(second) == f"process 1 does not see what process 0 writes to {tmp_path / '1'}"
