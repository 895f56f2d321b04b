"""An error or a standstill in code that the user names in the config: say whose it is."""

import contextlib
import re
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thawline.errors import ErrorInUsersCode, UserError
from thawline.machine.standstill import is_ours, standstill_reported, users_files, users_parts

_FRAME = re.compile(r'File "(.+?)", line (\d+), in (\w+)')  # of the traceback that a loading process sends as text


@contextlib.contextmanager
def users_code_named(leaves: Mapping[str, Any]) -> Iterator[None]:
    """Inside the block, an error that comes from code which the config names becomes one line that says so.

    So does a call of such code that takes a minute, without ending it.

    Args:
        leaves: Dotted key -> value of the config; those that end in `_target_` name code.
    Raises:
        ErrorInUsersCode: In place of the error, which is its cause.
    """
    try:
        with standstill_reported(users_parts(leaves)):
            yield
    except UserError:
        raise
    except Exception as error:
        if (line := blamed(error, leaves)) is None:
            raise
        raise ErrorInUsersCode(line) from error


def blamed(error: Exception, leaves: Mapping[str, Any]) -> str | None:
    """One line for an error whose traceback ends in the user's code, or in what that called; None for any other."""
    files = users_files(users_parts(leaves))
    for name, line, function in reversed(_frames(error)):
        if is_ours(name):
            return None
        if (key := files.get(name)) is not None:
            kind = type(error).__name__
            reason = (str(error).strip() or "no message").splitlines()[-1].removeprefix(f"{kind}: ")
            return (
                f"{key}={leaves[key]}: raised {kind} ({reason}) in {function}, {Path(name).name} line {line}; "
                "this is not Thawline's code; the traceback is in traceback.txt"
            )
    return None


def _frames(error: Exception) -> list[tuple[str, int, str]]:
    """(file, line, function), the innermost last; also of a data-loading process, whose traceback is a text."""
    frames = [(f.filename, f.lineno or 0, f.name) for f in traceback.extract_tb(error.__traceback__)]
    sent = "Original Traceback" in str(error)
    return frames + ([(f, int(line), name) for f, line, name in _FRAME.findall(str(error))] if sent else [])
