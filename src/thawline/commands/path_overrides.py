"""Paths on the command line: any name that the file system allows, as it is typed, in Hydra's grammar.

Hydra gives a meaning to commas, brackets, quotes, `=`, `~` and `$`, and its lexer knows only ASCII outside of quotes.
"""

import os
import re
import shlex
from collections.abc import Sequence

from thawline.runs.literal import in_quotes

# Their values are paths, or an expression on paths, with no syntax of Hydra's in them.
PATH_KEYS = frozenset(
    (
        "resume",
        "output_dir",
        "cache.dir",
        "data.root",
        "data.file",
        "data.shards",
        "data.exclude",
        "data.group_by",
        "model.weights",
        "hydra.run.dir",
        "hydra.sweep.dir",
    )
)
_LISTS = frozenset(("data.shards",))  # of these, those that may be a list, written in Hydra's grammar
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")  # needs no quotes
_IN_QUOTES = re.compile(r"""(?P<quote>["'])((?!(?P=quote)).|\\(?P=quote))*(?P=quote)""", re.DOTALL)
_SWEPT = re.compile(r".*,|(choice|range|glob|interval|sort|shuffle|tag)\(", re.DOTALL)  # Hydra's lists of values


def quoted_path(argument: str, *, sweeping: bool = False) -> str:
    """`data.root=/x/dataset (1)` -> `data.root="/x/dataset (1)"`; any other argument stays.

    A value that is no path on this disk may be Hydra's: in quotes already, with an interpolation, or, in a sweep, a
    list of values. Then it stays too.
    """
    key, equals, value = argument.partition("=")
    if not equals or key.lstrip("+") not in PATH_KEYS or value in ("", "null") or _is_plain(value):
        return argument
    if key.lstrip("+") in _LISTS and value.startswith("["):
        return argument
    if not _lies_here(value):
        if _IN_QUOTES.fullmatch(value) or "${" in value or (sweeping and _SWEPT.match(value)):
            return argument
        value = os.path.expanduser(value)  # a shell leaves the ~ of key=~/x
    return f"{key}={in_quotes(value)}"


def quoted_paths(arguments: Sequence[str]) -> list[str]:
    """`quoted_path` of every argument of a command line."""
    sweeping = any(argument in ("-m", "--multirun") for argument in arguments)
    return [quoted_path(argument, sweeping=sweeping) for argument in arguments]


def cut_at_a_space(word: str, arguments: Sequence[str]) -> str:
    """`photos` of `data.root=my photos` -> `'data.root=my photos'`, to be typed in a shell.

    Args:
        word: An argument that is no `key=value`.
        arguments: The command line.
    Returns:
        Empty where no path stands before the word.
    """
    if word not in arguments:
        return ""
    at = arguments.index(word)
    before = next((i for i in range(at, 0, -1) if _ends_words(arguments[i])), 0)
    if arguments[before].partition("=")[0].lstrip("+") not in PATH_KEYS:
        return ""
    after = next((i for i in range(at, len(arguments)) if _ends_words(arguments[i])), len(arguments))
    return shlex.quote(" ".join(arguments[before:after]))


def _ends_words(argument: str) -> bool:
    return "=" in argument or argument.startswith("-")


def _lies_here(path: str) -> bool:
    """Whether the path is there as it is written, at least to the last part that looks like an interpolation."""
    after = path.rfind("${")
    end = path.find("/", after) if after >= 0 else -1
    return os.path.lexists(path if end < 0 else path[:end])


def _is_plain(value: str) -> bool:
    """Whether Hydra reads it as the same text: no number, no truth value."""
    if not _PLAIN.fullmatch(value) or value.lower() in ("true", "false"):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False
