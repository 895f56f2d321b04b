"""Work out from `sys.argv` and `__main__` how this process was started, and make it independent of the locale."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from thawline.invocation import INSTALLED, Invocation, note

_CONFIG_OPTIONS = {"--config-path": "-cp", "--config-name": "-cn", "--config-dir": "-cd"}  # Hydra's


def note_start() -> None:
    """Remember how this process was started; `sys.argv` becomes what a child process can be started with.

    From here on names of files are UTF-8, and whatever cannot be printed is printed as escapes.
    """
    read_names_as_utf8()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a notebook's is another kind
            stream.reconfigure(errors="backslashreplace")
    sys.argv[:] = [program_file(sys.argv[0]), *absolute_config_path(sys.argv[1:])]
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    note(how_started(sys.argv, module=spec.name if spec else None))


def read_names_as_utf8() -> None:
    """Start this command again in Python's UTF-8 mode where the locale says that names are written otherwise.

    A folder `사진` would be recorded as escaped bytes with one locale, and as six accented letters with another. The
    mode holds for the processes that this one starts too. The terminal keeps its encoding.
    """
    process = sys.orig_argv
    named = sys.argv[0] in process or "thawline" in process  # the latter after -m
    is_whole_process = named and process[len(process) - len(sys.argv) + 1 :] == sys.argv[1:]  # no notebook's `%run`
    if sys.getfilesystemencoding() == "utf-8" or not is_whole_process:
        return
    terminal = {"PYTHONIOENCODING": f"{sys.stdout.encoding}:backslashreplace"}
    environment = {**terminal, **os.environ, "PYTHONUTF8": "1"}
    os.execve(sys.executable, [sys.executable, "-X", "utf8=1", *process[1:]], environment)


def how_started(argv: Sequence[str], *, module: str | None) -> Invocation:
    """The way that `argv` was started in.

    Args:
        module: What `python -m` ran; None for a file.
    """
    program = argv[0]
    options = hydra_options(argv[1:])
    if module == "thawline.__main__":  # never by its path: that would put the package's own folder on sys.path
        return Invocation("python -m thawline", (*INSTALLED.start, *options))
    if program.endswith(".py"):
        return Invocation(
            None if _lies_in_this_clone(program) else INSTALLED.program, (sys.executable, program, *options)
        )
    if not os.path.isfile(program):  # python -c
        return Invocation(INSTALLED.program, (*INSTALLED.start, *options))
    return Invocation(INSTALLED.program, (sys.executable, program, *options))


def _lies_in_this_clone(script: str) -> bool:
    """Whether the current folder is the one that train.py and scripts/ lie in, so that their paths are right here."""
    folder = os.path.dirname(os.path.realpath(script))
    clone = os.path.dirname(folder) if os.path.basename(folder) == "scripts" else folder
    return clone == os.path.realpath(os.curdir)


def program_file(program: str) -> str:
    """`thawline` -> `thawline.exe` on Windows, where the installed command takes the ending off; Python runs the file.

    Lightning, and the launcher of sweeps, start a child with this name.
    """
    return f"{program}.exe" if not os.path.isfile(program) and os.path.isfile(f"{program}.exe") else program


def absolute_config_path(arguments: Sequence[str]) -> list[str]:
    """With the folder of `--config-path` seen from the current one; Hydra sees it from the command's own file."""
    absolute = list(arguments)
    for index, argument in enumerate(absolute):
        name, equals, value = argument.partition("=")
        if name not in ("--config-path", _CONFIG_OPTIONS["--config-path"]):
            continue
        if equals:
            absolute[index] = f"{name}={_absolute(value)}"
        elif index + 1 < len(absolute):
            absolute[index + 1] = _absolute(absolute[index + 1])
    return absolute


def hydra_options(arguments: Sequence[str]) -> list[str]:
    """Those that say where configs lie, for the jobs of a sweep; `-m` is the sweep's own."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for long, short in _CONFIG_OPTIONS.items():
        parser.add_argument(short, long)
    known: dict[str, Any] = vars(parser.parse_known_args(list(arguments))[0])
    return [part for long in _CONFIG_OPTIONS if (value := known[long[2:].replace("-", "_")]) for part in (long, value)]


def _absolute(folder: str) -> str:
    return folder if "://" in folder else os.path.abspath(folder)
