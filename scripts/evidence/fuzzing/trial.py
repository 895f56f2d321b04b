"""Try a parser on many inputs: it reads one, or refuses it with an error that the command line tells in one line."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

from fuzzing.parsers import Parser
from fuzzing.watch import watched
from thawline.commands.error_lines import explain

SECONDS = 5.0  # that one input may take; chosen: a thousand times the usual, for machines that are busy


def tried(parser: Parser, folder: Path, *, inputs: int, seconds: float = SECONDS) -> int:
    """Try `inputs` files in `folder`, which is emptied for each; returns how many were refused.

    Raises:
        Exception: What the parser should not have raised, with the input that shows it, made small.
    """
    refused = 0

    def one(data: bytes) -> None:
        nonlocal refused
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        refused += not reads(parser, data, folder, seconds=seconds)

    profile = settings(
        max_examples=inputs, deadline=None, database=None, derandomize=True, report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    test: Callable[[], None] = profile(given(parser.files)(one))
    test()
    return refused


def reads(parser: Parser, data: bytes, folder: Path, *, seconds: float = SECONDS) -> bool:
    """Whether the parser reads the file; False where it is refused in one line."""
    try:
        with watched(folder, seconds=seconds), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parser.read(data, folder)
    except Exception as error:
        line = explain(error)
        if line is None or "\n" in line:
            raise
        return False
    return True
