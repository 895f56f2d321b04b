"""What reading images showed is looked up as long as their sizes and times are the same, and lost at no harm."""

import contextlib
import io
import logging
import os
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thawline.data.decode import Pixels
from thawline.data.sources import folder_content, read_files
from thawline.data.sources.folder import FolderSource
from thawline.data.sources.folder_content import read_all
from thawline.data.sources.scan_store import ScanStore

NAMES = np.array(["cats/a.png", "cats/b.png", "dogs/사진.png", os.fsdecode(b"dogs/caf\xe9.png")])
LONG_AGO_S = 1_000_000_000


def put(path: Path, level: int, *, size: tuple[int, int] = (6, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, 90, 90)).save(path)
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        put(tmp_path / "images" / name, 50 * number)
    return tmp_path / "images"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read, in the order of the rows."""
    names: list[str] = []

    def noted(root, paths, rows, **rest):
        names.extend(Path(paths[row]).name for row in rows)
        return read_files.read_rows(root, paths, rows, **rest)

    monkeypatch.setattr(folder_content, "read_rows", noted)
    return names


def store(root: Path, *, pixels: Pixels | None = None) -> ScanStore:
    return ScanStore(root.parent / "cache", root, pixels or Pixels())


def scan(root: Path, names: np.ndarray = NAMES) -> dict[str, np.ndarray]:
    content, reasons = read_all(root, names, store=store(root))
    assert reasons == {}
    return content.columns()


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    for name, column in one.items():
        np.testing.assert_array_equal(column, other[name], err_msg=name)


def test_a_second_run_reads_nothing_and_gets_the_same(root: Path, read: list[str]) -> None:
    first = scan(root)
    assert len(read) == 4
    assert first["sizes"].tolist() == [[6, 4]] * 4
    assert first["thumbs"][1, 3, 3].tolist() == [50, 90, 90]
    assert_same(scan(root), first)
    assert_same(first, read_all(root, NAMES)[0].columns())  # without a store
    assert len(read) == 4 + 4


def test_any_selection_and_order_is_looked_up(root: Path, read: list[str]) -> None:
    first = scan(root)
    some = np.array([2, 0])
    assert_same(scan(root, NAMES[some]), {name: column[some] for name, column in first.items()})
    assert len(read) == 4


def test_a_smaller_selection_does_not_forget_the_others(root: Path, read: list[str]) -> None:
    scan(root, NAMES[:3])
    scan(root, NAMES[3:])
    scan(root)
    assert len(read) == 4


@pytest.mark.parametrize("what", ["time", "size", "place"])
def test_a_changed_file_is_read_again(root: Path, read: list[str], what: str) -> None:
    scan(root)
    put(root / NAMES[1], 51, size=(9, 9) if what == "size" else (6, 4))
    if what == "time":
        os.utime(root / NAMES[1], (LONG_AGO_S, LONG_AGO_S + 1))
    if what == "place":  # two files of one size and time, as from an archive, exchange their names
        put(root / "new.png", 77)
        (root / "new.png").replace(root / NAMES[1])
    again = scan(root)
    assert read[4:] == ["b.png"]
    assert_same(again, read_all(root, NAMES)[0].columns())


def test_a_new_and_a_vanished_file(root: Path, read: list[str]) -> None:
    scan(root)
    put(root / "cats/new.png", 9)
    (root / NAMES[0]).unlink()
    content, reasons = read_all(root, np.array(["cats/new.png", *NAMES]), store=store(root))
    assert read[4:] == ["new.png", "a.png"]
    assert list(reasons) == ["cats/a.png"]
    assert content.digests[1] == b""
    assert (content.digests[[0, 2, 3, 4]] != b"").all()


def test_what_does_not_decode_is_read_every_time(root: Path, read: list[str]) -> None:
    """It may decode next time: with another package installed, or a drive connected."""
    (root / NAMES[2]).write_bytes(b"no image")
    for _ in range(2):
        assert list(read_all(root, NAMES, store=store(root))[1]) == [NAMES[2]]
    assert read[4:] == ["사진.png"]


def test_a_file_of_this_second_is_read_again(root: Path, read: list[str]) -> None:
    """Its next change may get the same time, on file systems that count in steps of two seconds."""
    os.utime(root / NAMES[0])
    scan(root)
    scan(root)
    assert read[4:] == ["a.png"]


def test_a_file_that_changes_while_it_is_read_is_told_and_not_kept(
    root: Path, read: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    untouched = read_files._state
    calls = 0

    def growing(status: os.stat_result) -> tuple[int, ...]:
        nonlocal calls
        calls += 1
        return (untouched(status)[0] + calls, *untouched(status)[1:]) if status.st_ino == inode else untouched(status)

    inode = (root / NAMES[1]).stat().st_ino
    monkeypatch.setattr(read_files, "_state", growing)
    scan(root)
    assert "1 image changed during the reading, first: cats/b.png" in caplog.text
    monkeypatch.undo()
    store_of = store(root).load()
    assert store_of is not None
    assert len(store_of.keys) == 3


def test_channels_and_folders_have_stores_of_their_own(root: Path) -> None:
    folders = {
        store(root).folder,
        store(root, pixels=Pixels(channels=(0,))).folder,
        store(root / "cats").folder,
    }
    assert len(folders) == 3
    assert store(root / ".." / root.name).folder.name == store(root).folder.name


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def archive(*, compressed: bool, shape: tuple[int, ...] = (4,)) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, keys=np.zeros(shape, dtype=np.uint64))
    return file.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        flipped,
        lambda data: b"",
        lambda data: b"PK\5\6" + bytes(18),
        lambda data: archive(compressed=True),
        lambda data: archive(compressed=False),
        lambda data: archive(compressed=False, shape=()),
    ],
)
def test_a_damaged_store_is_a_warning_and_made_again(
    root: Path, read: list[str], caplog: pytest.LogCaptureFixture, damage
) -> None:
    first = scan(root)
    path = store(root).folder / "scan.npz"
    path.write_bytes(damage(path.read_bytes()))
    assert_same(scan(root), first)
    assert "scan.npz cannot be used" in caplog.text
    scan(root)
    assert len(read) == 8


def test_a_store_of_objects_runs_nothing(root: Path, tmp_path: Path) -> None:
    class Canary:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    first = scan(root)
    np.savez(store(root).folder / "scan.npz", keys=np.array([Canary()], dtype=object))
    assert_same(scan(root), first)
    assert not (tmp_path / "ran").exists()


def test_a_store_is_an_ordinary_archive_that_others_read(root: Path) -> None:
    first = scan(root)
    with zipfile.ZipFile(store(root).folder / "scan.npz") as file:
        assert file.testzip() is None
    np.testing.assert_array_equal(np.load(store(root).folder / "scan.npz")["digests"], first["digests"])


def test_a_cache_that_cannot_be_written_is_a_warning(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root.parent / "cache").write_text("a file")
    assert len(scan(root)["digests"]) == 4
    assert "cannot be kept in" in caplog.text
    assert "cache.dir=DIR" in caplog.text


def test_an_interrupted_scan_keeps_what_it_read(root: Path, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_content, "_FILES_AT_ONCE", 1)
    monkeypatch.setattr(folder_content, "num_cores", lambda: 1)

    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as during:
        during.setattr(folder_content, "progress", lambda *_, **__: contextlib.nullcontext(interrupt))
        with pytest.raises(KeyboardInterrupt):
            scan(root)
    before = len(read)
    assert before >= 1
    scan(root)
    assert len(read) == 4


def test_a_run_that_waits_for_another_looks_up_what_that_read(
    root: Path, read: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reading, noted = threading.Event(), folder_content.read_rows

    def slow(*args, **rest):
        reading.set()
        time.sleep(0.2)
        return noted(*args, **rest)

    monkeypatch.setattr(folder_content, "read_rows", slow)
    other = threading.Thread(target=scan, args=(root,))
    other.start()
    assert reading.wait(5)
    scan(root)
    other.join()
    assert len(read) == 4
    assert "Another run reads the images" in caplog.text


def test_a_source_keeps_where_it_is_asked_to(root: Path, tmp_path: Path, read: list[str]) -> None:
    prints = {FolderSource(root=root, scan_dir=tmp_path / "cache").fingerprint() for _ in range(2)}
    assert len(read) == 4
    assert prints == {FolderSource(root=root).fingerprint()}
    assert len(read) == 8
