"""Errors that the command line tells in one line."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

LINE_PRINTED = "thawline_line_printed"  # attribute of an error whose line was printed


def named(items: Sequence[str], *, most: int = 3, between: str = ", ") -> str:
    """The first few of `items`, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return f"{between.join(items[:most])}{more}"


class UserError(ValueError):
    """Bad input, told in one line: the key, the value given, the values allowed, the next step.

    The command line prints it without a traceback and exits with code 2.
    """


class ErrorInUsersCode(UserError):
    """A callback, head, data source or another part that the user names by `_target_` raised; that is its cause."""


def first_line(error: BaseException, *, nothing: str = "") -> str:
    """Of its message; where it has none, `nothing`, or the name of its type.

    >>> first_line(ValueError("no number\\nat all")), first_line(AssertionError())
    ('no number', 'AssertionError')
    """
    return (str(error).strip().splitlines() or [nothing or type(error).__name__])[0]


@contextlib.contextmanager
def strange_values_refused(path: Path) -> Iterator[None]:
    """Make any error of the block one line: it builds what a file describes, and a stranger may describe anything.

    Raises:
        UserError: The block raised, for example because a number in the file is no index.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error, nothing='no message')}"
        raise UserError(f"{path}: cannot be made into what it describes ({reason})") from error


class JobsFailed(RuntimeError):
    """A sweep ended, and some of its jobs did not complete; the command line prints it and exits with code 1."""
