"""What is wrong with a set of images and labels: files, copies, labels, outliers, shortcuts, classes."""

import argparse
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from thawline import __version__
from thawline.atomic import write_atomically
from thawline.commands.ending import exit_code, say
from thawline.commands.inspect_settings import reading_of
from thawline.commands.plain_parser import plain_parser
from thawline.commands.started import note_start
from thawline.commands.writable import check_writable
from thawline.errors import UserError
from thawline.printable import printable

if TYPE_CHECKING:
    from thawline.inspection.inspected import Inspected

_HELP = """What is wrong with these images and labels, before anything is learned from them.

    {command} DIR                # folders of images, in any layout that data.root accepts
    {command} images.csv         # a table with the columns path and label, perhaps split and group
    {command} DIR --no-model     # the files alone, in seconds: no labels, outliers or crops
    {command} DIR data.class_level=1            # where the folders can be read in two ways; data.leave_out=[NAME] too
    {command} images.csv data.columns.label=diagnosis

It writes inspection.html (look at this one), issues.csv and issues.json to outputs/inspections/NAME, NAME being that of
the images, and changes nothing. Delete the rows of good images from issues.csv; a run with data.exclude=FILE, which the
last line writes out, then leaves out the images that are still listed. The exit code is 0 also where issues were seen,
2 for bad input.
"""
_GALLERY = 12  # images of each kind; chosen: two or three rows


def main() -> int:
    """Inspect; returns the exit code."""
    note_start()
    given = _arguments()
    return exit_code(lambda: _inspect(given), explain=lambda error: _file_line(error, given.out))


def _file_line(error: Exception, out: Path | None) -> str | None:
    if not isinstance(error, OSError):
        return None
    return f"{printable(error.filename or out or '')}: {error.strerror}; to write elsewhere, give --out DIR"


def _inspect(given: argparse.Namespace) -> None:
    if given.gallery < 0:
        raise UserError(f"--gallery {given.gallery}: allowed are whole numbers from 0")
    if given.image_size is not None and given.image_size < 1:
        raise UserError(f"--image-size {given.image_size}: allowed are whole numbers of pixels from 1")
    from rich.console import Console

    from thawline.inspection.inspected import inspected  # imports torch; --help does without
    from thawline.inspection.inspection_files import ISSUES_TABLE, default_place
    from thawline.inspection.inspection_summary import summary, training_command
    from thawline.inspection.judged_images import ModelChoice

    reading = reading_of(given.settings, table=given.images.is_file())
    folder = given.out or default_place(given.images)
    check_writable(folder)
    model = None
    if not given.no_model:
        model = ModelChoice(given.model, given.weights, given.image_size, given.accelerator, given.precision)
    one = inspected(given.images, model=model, reading=reading)
    written = _write(one, folder, gallery=given.gallery)
    table = folder / ISSUES_TABLE
    Console(highlight=False).print(summary(one, table=table), soft_wrap=True)
    for path in written:
        say(f"wrote {printable(path)}")
    if one.listing.labelled:
        say(f"then train: {training_command(one, table=table)}")


def _write(one: "Inspected", folder: Path, *, gallery: int) -> list[Path]:
    from thawline.inspection import inspection_files as files
    from thawline.inspection.inspection_page import galleries, inspection_page

    folder.mkdir(parents=True, exist_ok=True)
    table, made = folder / files.ISSUES_TABLE, f"thawline {__version__}, {date.today().isoformat()}"
    contents: dict[str, str | bytes] = {
        files.INSPECTION_PAGE: inspection_page(one, galleries(one, most=gallery), table=table, foot=made),
        files.ISSUES_TABLE: files.issues_csv(one),
        files.ISSUES_FILE: files.issues_json(one, made=made),
    }
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]


def _arguments() -> argparse.Namespace:
    parser = plain_parser("inspect_images", _HELP)
    parser.add_argument("images", type=Path, metavar="DIR", help="folder of images, or a table (csv, jsonl, parquet)")
    parser.add_argument("settings", nargs="*", metavar="data.KEY=VALUE", help="how they are read, as for a run")
    parser.add_argument("--no-model", action="store_true", help="inspect the files alone, which takes seconds")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write; default outputs/inspections/NAME")
    parser.add_argument(
        "--gallery", type=int, default=_GALLERY, metavar="N", help="images of each kind shown; default %(default)s"
    )
    parser.add_argument(
        "--model", default="tf_efficientnet_lite0", metavar="NAME", help="backbone that looks; default %(default)s"
    )
    parser.add_argument("--weights", metavar="W", help="embedded, hub, none or a file; default embedded, else hub")
    parser.add_argument("--image-size", type=int, metavar="N", help="pixels a side; default the backbone's")
    parser.add_argument("--accelerator", default="auto", help="auto, cpu, gpu, mps; default %(default)s")
    parser.add_argument("--precision", default="auto", help="auto, 32-true or bf16-mixed; default %(default)s")
    return parser.parse_intermixed_args()
