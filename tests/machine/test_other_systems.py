"""Nothing that a user runs needs what Windows or macOS has not: names are asked for before they are used."""

import ast
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from thawline.machine import session_end
from thawline.sweep import job, job_processes
from thawline.sweep.job import Job
from thawline.sweep.job_processes import Running

ROOT = Path(__file__).resolve().parents[2]
USERS = ("train.py", "src/**/*.py", "scripts/*.py", "scripts/evidence/gpu_check.py", "scripts/evidence/gpu/*.py")
# "Availability: Unix" in the pages of Python's library on os and signal, or Linux alone.
MISSING = {
    "os": "killpg getpgid getpgrp setpgid setsid fork forkpty getuid geteuid getgid getegid sched_getaffinity"
    " getloadavg uname sysconf pread preadv pwrite pwritev statvfs mkfifo chown lchown nice wait wait3 wait4"
    " getpriority setpriority O_DIRECTORY O_NOFOLLOW O_CLOEXEC WIFSIGNALED WTERMSIG WEXITSTATUS memfd_create"
    " posix_fadvise",
    "signal": "SIGKILL SIGHUP SIGUSR1 SIGUSR2 SIGALRM SIGPROF SIGSTOP SIGCONT SIGCHLD SIGPIPE SIGQUIT alarm setitimer"
    " pthread_sigmask sigwait pause siginterrupt",
}
MODULES = {"resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline"}
ASKED_ELSEWHERE = {
    ("kept_file.py", "preadv"),  # `kept_file` makes none where `preadv` is missing
    ("kept_file.py", "pwrite"),
    ("utf8_path.py", "O_DIRECTORY"),  # behind a look for /proc/self/fd
    ("memory.py", "sysconf"),  # AttributeError is caught
}


def unguarded(path: Path) -> Iterator[str]:
    """Uses of names that may be missing, where the same file does not ask for them by `hasattr` or `getattr`."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    tried = {id(node) for outer in ast.walk(tree) if isinstance(outer, ast.Try) for node in ast.walk(outer)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = node.value.id, node.attr
            asked = any(f'{word}({module}, "{name}"' in text for word in ("hasattr", "getattr"))
            if name in MISSING.get(module, "").split() and not asked and (path.name, name) not in ASKED_ELSEWHERE:
                yield f"{path.relative_to(ROOT)}: {module}.{name}"
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        for name in MODULES.intersection(names) if id(node) not in tried else ():
            yield f"{path.relative_to(ROOT)}: import {name}"


def test_names_that_a_system_lacks_are_asked_for_first() -> None:
    files = [path for pattern in USERS for path in ROOT.glob(pattern)]
    assert len(files) > 300
    assert [line for path in files for line in unguarded(path)] == []


def test_a_use_without_asking_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("import fcntl, os\nos.killpg(1, 9)\n")
    assert list(unguarded(tmp_path / "a.py")) == ["a.py: import fcntl", "a.py: os.killpg"]


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The modules of a sweep, imported where there are no groups of processes and no SIGKILL."""
    with monkeypatch.context() as missing:
        missing.delattr(os, "killpg", raising=False)
        missing.delattr(signal, "SIGKILL", raising=False)
        importlib.reload(session_end)
        yield
    importlib.reload(session_end)


@pytest.mark.usefixtures("windows")
def test_a_job_that_hangs_is_ended_where_there_are_no_groups_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ask_to_end", "kill_all"):
        monkeypatch.setattr(job_processes, name, getattr(session_end, name))
    monkeypatch.setattr(job, "KILLED", session_end.KILLED)
    hung = Job(0, [], tmp_path / "0")
    Running(lambda _: [sys.executable, "-S", "-c", "import time; time.sleep(60)"], 1, timeout_s=0.4).run(
        [hung], shown=lambda: None
    )
    assert hung.error == "gave no sign of life for 0.00666667 minutes and was ended (sweep.timeout)"
    assert job._cause(1, tmp_path / "none", killed=True) == "exit code 1: no output"


@pytest.mark.usefixtures("windows")
def test_a_process_that_has_ended_is_ended_again_without_an_error() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    session_end.kill_all(process)
