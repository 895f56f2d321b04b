"""A disk that is full, read-only or gone: one true line with the true path; what was complete stays complete."""

import contextlib
import errno
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from disk import full_disk, unprivileged
from matplotlib.figure import Figure

from thawline.atomic import CannotWrite, cannot_write_line, remove_parts, write_atomically
from thawline.callbacks.checkpoint_files import save_whole
from thawline.callbacks.tensorboard import EventFileLogger
from thawline.commands.ending import exit_code, file_line
from thawline.commands.log_lines import LogFile
from thawline.data.decode import UnreadableImage, read_bytes
from thawline.errors import UserError
from thawline.features.feature_store import ArraySpec, StoreWriter
from thawline.freezing.certificate import CERTIFICATE_FILE, write_certificate
from thawline.report.profile_figure import save_figure
from thawline.report.run_record import RECORD_FILE, RunRecord, recorded
from thawline.runs.lock import owned
from thawline.runs.quiet import quiet

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
Run = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
ROOM = 20_000  # bytes that a file may have on the full disk


def _record(folder: Path, size: int) -> Path:
    return RunRecord(run_id="a" * size, scenario="small_similar", seed=0).save(folder)


def _certificate(folder: Path, size: int) -> Path:
    write_certificate(folder, {"schema": 1, "about": "a" * size})
    return folder / CERTIFICATE_FILE


def _checkpoint(folder: Path, size: int) -> Path:
    save_whole({"weights": torch.zeros(size // 4)}, folder / "last.ckpt")
    return folder / "last.ckpt"


def _text(folder: Path, size: int) -> Path:
    """As config.yaml, advice.json, sweep.json and reports are written."""
    write_atomically(folder / "advice.json", "a" * size)
    return folder / "advice.json"


def _figure(folder: Path, size: int) -> Path:
    noise = torch.rand(size // 100, 100, generator=torch.Generator().manual_seed(0))
    figure = Figure()
    figure.add_subplot().imshow(noise) if size > ROOM else None
    save_figure(figure, folder / "depth_profile.png")
    return folder / "depth_profile.png"


WRITERS = [_record, _certificate, _checkpoint, _text, _figure]


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_leaves_the_old_file_whole_and_names_the_file(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path, 1000)
    before = path.read_bytes()
    with full_disk(ROOM), pytest.raises(CannotWrite) as error:
        write(tmp_path, 100_000)
    assert cannot_write_line(error.value) == f"cannot write {path}: File too large; make room there"
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    write(tmp_path, 100_000)  # there is room again
    assert path.read_bytes() != before


@pytest.mark.parametrize("write", WRITERS)
def test_a_folder_without_permission_and_one_that_is_gone_are_named(tmp_path: Path, write: Any) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o500)
    with unprivileged(), pytest.raises(CannotWrite) as error:
        write(folder, 1000)
    line = cannot_write_line(error.value)
    assert line == f"cannot write {error.value.filename}: Permission denied; choose another folder with output_dir=DIR"
    with pytest.raises(CannotWrite) as error:
        write(tmp_path / "gone" / "checkpoints", 1000)
    line = cannot_write_line(error.value)
    assert line == f"cannot write {error.value.filename}: No such file or directory; bring its folder back"
    assert not (tmp_path / "gone").exists()  # a folder that vanished is not begun anew, without what it held


SAYS = {
    errno.ENOSPC: "No space left on device; make room there",
    errno.EDQUOT: "Disk quota exceeded; your quota is used up: remove files of yours there, or ask for more",
    errno.EROFS: "Read-only file system; choose another folder with output_dir=DIR",
    errno.EIO: "Input/output error; the disk, or the connection to it, does not work",
    errno.ESTALE: "Stale file handle; the network file system lost it: mount it again",
}


@pytest.mark.parametrize("number", SAYS, ids=lambda number: errno.errorcode[number])
def test_what_the_disk_says_is_told_with_the_file_and_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    """The file system answers at the flush, as one over a network does; the old file stays, and nothing beside it."""
    for write in (_record, _certificate, _checkpoint, _text):
        path = write(tmp_path, 1000)
        before = path.read_bytes()
        with monkeypatch.context() as broken:
            broken.setattr("os.fsync", _failing(number))
            with pytest.raises(CannotWrite) as error:
                write(tmp_path, 2000)
        assert cannot_write_line(error.value) == f"cannot write {path}: {SAYS[number]}"
        assert path.read_bytes() == before
        assert not list(tmp_path.glob("*.part"))
        path.unlink()

    def report() -> None:
        raise OSError(number, os.strerror(number), "report.html")

    assert exit_code(report, explain=partial(file_line, way_out="; name another folder with --out DIR")) == 2
    verb = "use" if number in (errno.EIO, errno.ESTALE) else "write"  # perhaps it was read
    words = SAYS[number] if number != errno.EROFS else "Read-only file system; name another folder with --out DIR"
    assert capsys.readouterr().err == f"error: cannot {verb} report.html: {words}\n"


def _failing(number: int) -> Callable[[int], None]:
    def fsync(_: int) -> None:
        raise OSError(number, os.strerror(number))

    return fsync


def test_an_image_on_a_network_that_is_gone_is_not_taken_for_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").touch()
    for number, kind, says in (
        (errno.ESTALE, UserError, "cannot read .*a.png: Stale file handle; the network file system lost it"),
        (errno.EIO, UnreadableImage, "unreadable image .*a.png: Input/output error"),
    ):
        monkeypatch.setattr(Path, "read_bytes", lambda _, number=number: _failing(number)(0))
        with pytest.raises(UserError, match=says) as error:
            read_bytes(tmp_path / "a.png")
        assert type(error.value) is kind


def test_what_is_not_about_writing_is_no_line() -> None:
    assert cannot_write_line(FileNotFoundError(2, "No such file or directory", "image.png")) is None
    assert cannot_write_line(TimeoutError(errno.ETIMEDOUT, "Connection timed out")) is None  # of a web server
    gone = OSError(errno.ESTALE, "Stale file handle", "images")
    assert (
        cannot_write_line(gone)
        == "cannot use images: Stale file handle; the network file system lost it: mount it again"
    )


def test_an_event_file_is_named_though_a_thread_writes_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logger = EventFileLogger(tmp_path)
    logger.log_metrics({"a": 1.0}, step=0)
    logger.save()
    (path,) = tmp_path.glob("events*")

    def log_until_full() -> None:
        for step in range(2000):
            logger.log_metrics({"a": 1.0}, step=step)
            logger.save()

    with quiet(), full_disk(2000), pytest.raises(CannotWrite) as error:
        log_until_full()
    assert error.value.filename == str(path)
    logger.finalize("failed")  # Lightning's last words do not replace the reason of the failure
    assert capfd.readouterr().err == ""


def test_a_log_that_cannot_be_written_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = LogFile(tmp_path / "train.log")
    with full_disk(10):
        for _ in range(3):
            log.handle(logging.LogRecord("thawline", logging.INFO, __file__, 1, "a line of the log", None, None))
    log.close()
    assert capsys.readouterr().err == f"warning: cannot write {tmp_path / 'train.log'}: File too large\n"


def test_a_store_of_the_cache_is_abandoned_and_named(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store", ArraySpec((100,), "float32"), about={})
    writer.append(torch.zeros(1000, 100))
    with full_disk(ROOM), pytest.raises(OSError, match=r"store.*00000.safetensors.*File too large"):
        writer.close()
    writer.abandon()
    assert not list(tmp_path.iterdir())


def test_the_first_error_is_told_not_that_the_record_did_not_fit(tmp_path: Path) -> None:
    record = RunRecord(run_id="a", scenario="small_similar", seed=0)

    def fail() -> None:
        with recorded(record, tmp_path):
            tmp_path.rename(tmp_path.with_name("away"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert json.loads((tmp_path.with_name("away") / RECORD_FILE).read_text())["status"] == "running"


def test_what_a_killed_process_was_writing_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    parts = [tmp_path / "run.json.12.part", tmp_path / "checkpoints" / "last.ckpt.12.part"]
    for part in parts:
        part.write_text("half")
    model = tmp_path / "model.12.part"
    model.mkdir()
    (model / "model.json").write_text("half")
    with owned(tmp_path):
        assert not any(part.exists() for part in [*parts, model])
    remove_parts(tmp_path / "no_such_folder")


SMALL = (
    "strategy=full_fine_tune", "trainer.max_epochs=3", "model.name=test_resnet", "model.weights=none",
    "model.image_size=32", "data.batch_size=4", "data.num_workers=0", "trainer.accelerator=cpu",
)  # fmt: skip


def exit_code_and_errors(tmp_path: Path, *arguments: str) -> tuple[int, list[str]]:
    """Run train.py in a process of its own; returns its exit code and the lines on stderr."""
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    paths = os.pathsep.join([str(ROOT / "tests"), *sys.path])
    environment = os.environ | {"PYTHONPATH": paths, "THAWLINE_DEBUG": "0"}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stderr.strip().splitlines()


@pytest.mark.parametrize("kind", ["full", pytest.param("gone", marks=pytest.mark.slow)])
def test_a_run_goes_on_from_its_last_checkpoint_once_there_is_room(
    run_cli: Run, tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    out, moved = tmp_path / "out", tmp_path / "moved"
    fault = {
        "full": {"_target_": "disk.DiskFull", "epoch": 1, "max_bytes": 100_000, "marker": tmp_path / "full"},
        "gone": {"_target_": "disk.FolderGone", "epoch": 1, "to": moved, "marker": tmp_path / "gone"},
    }[kind]
    overrides = [f"+callbacks.fault.{key}={value}" for key, value in fault.items()]
    where = (f"output_dir={out}", f"hydra.run.dir={out}/run", f"cache.dir={tmp_path / 'cache'}")
    code, lines = exit_code_and_errors(tmp_path, *SMALL, "data=folder", f"data.root={image_folder}", *overrides, *where)
    assert code == 2, "\n".join(lines)
    (line,) = lines
    if kind == "full":
        assert line.startswith(f"error: cannot write {out}/run/checkpoints/")
        assert f"File too large; make room there, then go on with: thawline resume={out}/run" in line
        assert json.loads((out / "run" / RECORD_FILE).read_text())["status"] == "failed"
    else:
        assert line.startswith(f"error: cannot write {out}/run/")
        assert line.endswith("No such file or directory; bring its folder back")
        assert not (out / "run").exists()
        moved.rename(out / "run")
    resumed = run_cli(f"resume={out}/run")
    assert resumed.code == 0, resumed.err
    assert "Resuming run at epoch 2 of 3" in resumed.out
    assert json.loads((out / "run" / RECORD_FILE).read_text())["status"] == "completed"


@pytest.mark.slow
def test_a_run_killed_again_and_again_goes_on_bit_for_bit(tmp_path: Path, image_folder: Path) -> None:
    """Each time kill -9 comes at a random moment; at the end stand the weights of a run that nobody killed."""
    arguments = (*SMALL, "trainer.max_epochs=12", "data=folder", f"data.root={image_folder}")
    moments, runs, span = random.Random(0), {}, 0.0
    for name in ("whole", "killed"):
        out = tmp_path / name
        where = (f"output_dir={out}", f"hydra.run.dir={out}/run", f"cache.dir={tmp_path / 'cache'}")
        command, kills = [*arguments, *where], 0
        while True:
            checkpoint = out / "run" / "checkpoints" / "last.ckpt"
            moment = moments.uniform(0, span / 4) if name == "killed" else None  # so at least three times
            code, seconds = _run_for(tmp_path, command, checkpoint, moment)
            record = json.loads((out / "run" / RECORD_FILE).read_text())
            if record["status"] == "completed":
                break
            assert code == -signal.SIGKILL
            kills += 1
            command = [f"resume={out}/run", where[0]]
        assert (kills > 1) == (name == "killed")
        span = seconds
        runs[name] = torch.load(checkpoint, weights_only=True), record
    (whole, whole_record), (killed, killed_record) = runs["whole"], runs["killed"]
    assert all(torch.equal(tensor, killed["state_dict"][key]) for key, tensor in whole["state_dict"].items())
    assert whole_record["metrics"] == killed_record["metrics"]
    assert not list((tmp_path / "killed").rglob("*.part"))


def _run_for(tmp_path: Path, arguments: list[str], checkpoint: Path, seconds: float | None) -> tuple[int, float]:
    """Run train.py, and kill it some seconds after it writes a checkpoint; its exit code, and its seconds from then."""
    before = checkpoint.stat().st_mtime_ns if checkpoint.is_file() else 0
    paths = os.pathsep.join([str(ROOT / "tests"), *sys.path])
    with subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        env=os.environ | {"PYTHONPATH": paths}, cwd=tmp_path, stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        while process.poll() is None and not (checkpoint.is_file() and checkpoint.stat().st_mtime_ns != before):
            time.sleep(0.01)
        start = time.perf_counter()
        if seconds is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            process.kill()
        return process.wait(), time.perf_counter() - start


def test_the_cache_lies_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    from thawline.settings.cache_settings import CacheSettings

    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert CacheSettings().dir == "/home/ada/.cache/thawline"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the specification
    assert CacheSettings().dir == "/home/ada/.cache/thawline"
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch/ada")
    assert CacheSettings().dir == "/scratch/ada/thawline"
    assert CacheSettings(dir="here").dir == "here"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)  # in no list of users
    with pytest.raises(UserError, match=r"cache.dir=~/.cache/thawline: this user has no home folder; give one with"):
        CacheSettings()
