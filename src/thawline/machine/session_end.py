"""End a process that was started in a session of its own, with all that it started.

Windows has no groups of processes to signal and no SIGKILL: there the process alone is ended, at once. Processes that
load images for it see that, and end too.
"""

import contextlib
import os
import signal
import subprocess
from typing import Any

KILLED: int = getattr(signal, "SIGKILL", 9)  # number of the signal; as a negative exit code where it ended a process


def ask_to_end(process: "subprocess.Popen[Any]") -> None:
    """SIGTERM, after which a run writes its record; on Windows as `kill_all`."""
    _signal(process, signal.SIGTERM)


def kill_all(process: "subprocess.Popen[Any]") -> None:
    """Without a way for it to refuse; nothing where it has ended."""
    _signal(process, KILLED)


def _signal(process: "subprocess.Popen[Any]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.terminate()
