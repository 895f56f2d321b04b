"""How every command ends: the exit codes, one line on stderr where the user can mend it, a reader that is gone."""

import os
import sys
from collections.abc import Callable

from thawline.atomic import mended_by, use_of
from thawline.errors import LINE_PRINTED, JobsFailed, UserError
from thawline.machine.sigterm import Terminated
from thawline.printable import printable

# Exit codes.
BAD_INPUT = 2
BROKEN = 1  # what the command checked does not hold
_JOBS_FAILED = 1
_READER_GONE = 1
_CTRL_C = 130  # 128 + SIGINT, as shells report it

Explain = Callable[[Exception], str | None]  # one line for an error that the user can mend; None for any other


def file_line(error: Exception, *, way_out: str = "") -> str | None:
    """What to do about a file that cannot be written: `way_out`, such as `; name another folder with --out DIR`."""
    if not isinstance(error, OSError):
        return None
    mend = f"; {remedy}" if (remedy := mended_by(error)) else way_out
    return f"cannot {use_of(error)} {printable(error.filename or 'a file')}: {error.strerror or error}{mend}"


def exit_code(command: Callable[[], int | None], *, explain: Explain = file_line) -> int:
    """What `command` returns, 0 for nothing; else the code that belongs to its end.

    A `UserError`, and what `explain` has a line for, end in that line on stderr. Any other error is a defect of
    ours and is raised.
    """
    try:
        code = command() or 0
        sys.stdout.flush()  # here a reader that is gone is no error
        return code
    except JobsFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return _JOBS_FAILED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            return _READER_GONE
        if not print_line(error, explain):
            raise
        return BAD_INPUT
    except KeyboardInterrupt as stop:
        if not getattr(stop, LINE_PRINTED, False):
            print("interrupted", file=sys.stderr)
        return _CTRL_C
    except Terminated as stop:
        return int(stop.code or 0)


def print_line(error: Exception, explain: Explain) -> bool:
    """Print the one line for an error that the user can mend, once; False for any other error.

    With THAWLINE_DEBUG=1 every error is another, so that it shows its traceback.
    """
    line = explain(error) or (str(error) if isinstance(error, UserError) else None)
    if line is None or os.environ.get("THAWLINE_DEBUG") == "1":
        return False
    if not getattr(error, LINE_PRINTED, False):
        print(f"error: {line}", file=sys.stderr)
        setattr(error, LINE_PRINTED, True)
    return True


def say(text: str) -> None:
    """Print at once; a reader that has read enough does not stop the command."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _send_stdout_nowhere()


def _reader_is_gone() -> bool:
    """Whether what stdout is piped into, `head` for one, has read enough; then the rest goes nowhere."""
    try:
        print(flush=True)
    except BrokenPipeError:
        _send_stdout_nowhere()
        return True
    return False


def _send_stdout_nowhere() -> None:
    """From now on: so that Python's last flush is silent too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
