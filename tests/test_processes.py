"""A lock keeps a second process out, ends with its holder, and is not needed where the file system has none."""

import contextlib
import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from thawline.errors import UserError
from thawline.machine.file_lock import locked
from thawline.runs.lock import owned

_HOLD = """
import sys, time
from pathlib import Path
from thawline.runs.lock import owned

with owned(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_folder_in_use_is_refused_until_its_process_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(UserError, match="another process is working in this folder; wait, or end it"),
            owned(tmp_path),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with owned(tmp_path):
            pass


@pytest.mark.skipif(sys.platform == "win32", reason="no flock")
@pytest.mark.parametrize(("number", "goes_on"), [(errno.ENOSYS, True), (errno.ENOLCK, True), (errno.EIO, False)])
def test_a_file_system_without_locks_goes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, goes_on: bool
) -> None:
    import fcntl

    def refused(*_: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(fcntl, "flock", refused)
    ending = contextlib.nullcontext() if goes_on else pytest.raises(OSError, match="refused")
    with ending, locked(tmp_path / "file", busy=lambda: pytest.fail("nobody holds it")):
        pass


def test_the_processes_beside_the_main_one_need_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with owned(tmp_path):
        assert not list(tmp_path.iterdir())
