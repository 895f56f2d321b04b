"""Predict images with the model of a run, or of a model folder."""

import argparse
import sys
from pathlib import Path

from thawline.atomic import cannot_write_line
from thawline.commands.ending import exit_code
from thawline.commands.model_options import add_model_options
from thawline.commands.plain_parser import plain_parser
from thawline.commands.started import note_start
from thawline.deploy.image_list import STDIN, listed
from thawline.machine.sigterm import ended_by_sigterm

_MOST_HEATMAPS = 100  # chosen: they take a minute or two with a small backbone on a CPU
_MOST = 65_536  # of images in a batch, and of other counts
_HELP = """Predict images with the model of a run, or of a model folder.

    {command} RUN photo.jpg more/                       # a table of the first rows, and a summary
    {command} RUN more/ --out predictions.csv           # .csv, .jsonl or .parquet
    {command} RUN 'more/**/*.jpg' paths.txt --out predictions.csv
    find more -name '*.jpg' | {command} RUN - > predictions.csv
    {command} RUN more/ --out sure.csv --only-above 0.9 --copy-to sorted/
    {command} RUN more/ --out predictions.csv --unknown --explain heatmaps/
    {command} RUN more/ --out predictions.jsonl --set   # and 90 % sets

IMAGES: files; folders, searched at every depth; patterns in quotes; text files (.txt, .lst, .list) with a path a line;
tables (.csv, .tsv, .jsonl, .ndjson, .parquet) with a column path; - for lines of paths on standard input. A file that
cannot be read is a row with an error. The same command goes on where it was interrupted.
"""


def main() -> int:
    """Predict; returns the exit code."""
    note_start()
    given = _arguments()
    return exit_code(lambda: _predict(given), explain=_file_line)


def _predict(given: argparse.Namespace) -> None:
    with ended_by_sigterm():
        images = listed(given.images, stdin=sys.stdin.buffer)
        # Imports torch; --help does without, and so does a missing image.
        from thawline.commands.prediction_run import run

        run(given, images)


def _file_line(error: Exception) -> str | None:
    line = cannot_write_line(error) if isinstance(error, OSError) else None
    return None if line is None else line.partition(";")[0]  # the rest speaks of a run


def _arguments() -> argparse.Namespace:
    parser = plain_parser("predict", _HELP)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a completed run, or a model folder")
    parser.add_argument(
        "images", nargs="*", default=[], metavar="IMAGES", help="see above; without any, paths on standard input"
    )
    add = parser.add_argument
    add("--out", type=Path, metavar="FILE", help="write .csv, .jsonl or .parquet; - is CSV on standard output, which a "
        "pipe gets without --out too")  # fmt: skip
    add("--overwrite", action="store_true", help="start over where FILE, or what an interrupted command left, is there")
    add("--only-above", type=_share, metavar="P", help="leave out images with a lower probability, such as 0.9")
    add("--copy-to", type=Path, metavar="DIR", help="copy every image that gets a row into a folder of its class")
    add("--unknown", action="store_true", help="the label is `unknown` where an image lies too far from all classes; "
        "model.json has the threshold")  # fmt: skip
    add("--set", action="store_true", help="a column `set` more: the classes of which one is right for 90 %% of images "
        "like those of the run")  # fmt: skip
    add("--explain", type=Path, metavar="DIR", help="write heatmaps of the answers; each costs 65 answers")
    add("--explain-most", type=_count, default=_MOST_HEATMAPS, metavar="N", help="for the first N images; default "
        "%(default)s")  # fmt: skip
    add("--top", type=_count, default=5, metavar="K", help="classes named in a row; default %(default)s")
    add("--batch-size", type=_count, metavar="N", help="images computed together; changes no label")
    add("--workers", type=_count_or_none, metavar="N", help="processes that read images; 0 reads in a thread")
    add_model_options(parser)
    given = parser.parse_args()
    if not given.images:
        if sys.stdin.isatty():
            parser.error("name images: files, folders, patterns, or - for paths on standard input")
        given.images = [STDIN]
    return given


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: allowed are 0 to 1")
    return value


def _count(text: str) -> int:
    return _at_least(text, 1)


def _count_or_none(text: str) -> int:
    return _at_least(text, 0)


def _at_least(text: str, least: int) -> int:
    value = int(text)
    if not least <= value <= _MOST:
        raise argparse.ArgumentTypeError(f"{text}: allowed are {least} to {_MOST}")
    return value
