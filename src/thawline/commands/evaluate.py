"""How good a model is on labelled images: scores, weak classes, calibration, and the images to look at."""

import argparse
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from thawline import __version__
from thawline.amounts import plural
from thawline.atomic import write_atomically
from thawline.commands.ending import exit_code, file_line, say
from thawline.commands.model_options import add_model_options
from thawline.commands.plain_parser import plain_parser
from thawline.commands.started import note_start
from thawline.commands.writable import check_writable
from thawline.errors import UserError
from thawline.printable import printable

if TYPE_CHECKING:
    from thawline.deploy.evaluated import Against, Evaluated

_HELP = """How good a model is on labelled images.

    {command} RUN DIR                        # a folder that holds a folder for each class
    {command} RUN images.csv --split test    # a table with the columns path, label and, if you like, split
    {command} RUN DIR --against RUN2         # is RUN better than RUN2, or is it chance?

RUN is the folder of a completed run, or a model folder. Labels are matched with the model's classes by name. It writes
evaluation.html, evaluation.json and predictions.csv to RUN/evaluations/NAME, NAME being that of the images; those of an
earlier evaluation of the same images are replaced, which the output says.
"""
_GALLERY = 12  # images of each kind; chosen: four rows of three
_HEAT_SECONDS = 60.0  # chosen: 24 heatmaps of a large backbone take minutes on a CPU
_SPLITS = ("train", "val", "test", "all")


def main() -> int:
    """Evaluate; returns the exit code."""
    note_start()
    given = _arguments()
    explain = partial(file_line, way_out="; name another folder with --out DIR")
    return exit_code(lambda: _evaluate(given), explain=explain)


def _evaluate(given: argparse.Namespace) -> None:
    from thawline.deploy.evaluated import against, evaluate  # imports torch; --help does without
    from thawline.deploy.evaluation_files import default_folder
    from thawline.deploy.evaluation_summary import summary
    from thawline.deploy.labelled_images import labelled_images
    from thawline.deploy.loaded import load

    _check(given)
    options = {"trust": given.trust, "accelerator": given.accelerator, "precision": given.precision}
    model = load(given.run, **options)
    source = labelled_images(given.images, class_names=model.class_names, split=given.split)
    folder = given.out or default_folder(given.run, source.where, source.split)
    check_writable(folder)
    other_model = None if given.against is None else load(given.against, **options)
    evaluated = evaluate(model, source, folder=given.run, batch=given.batch_size)
    other = None
    if other_model is not None:
        other = against(evaluated, other_model, folder=given.against, batch=given.batch_size)
    say(summary(evaluated, other))
    _write(evaluated, other, given, folder)


def _check(given: argparse.Namespace) -> None:
    if given.batch_size < 1:
        raise UserError(f"--batch-size {given.batch_size}: allowed are whole numbers from 1")
    if given.gallery < 0:
        raise UserError(f"--gallery {given.gallery}: allowed are whole numbers from 0")
    if not given.heatmap_seconds >= 0:
        raise UserError(f"--heatmap-seconds {given.heatmap_seconds}: allowed are numbers from 0")


def _write(evaluated: "Evaluated", other: "Against | None", given: argparse.Namespace, folder: Path) -> None:
    from thawline.deploy import evaluation_files as files
    from thawline.deploy.evaluation_page import evaluation_page, wall
    from thawline.deploy.gallery import least_certain, pictures, shown, worst_mistakes

    folder.mkdir(parents=True, exist_ok=True)
    made = f"thawline {__version__}, {date.today().isoformat()}"
    worst, unsure = (
        [(n, shown(evaluated, n)) for n in select(evaluated, given.gallery)]
        for select in (worst_mistakes, least_certain)
    )
    views = pictures(evaluated, [n for n, _ in (*worst, *unsure)], heat_seconds=given.heatmap_seconds)
    walls = [
        wall("Worst mistakes", "The right class has the least probability.", worst, views),
        wall("Least certain", "The probability is spread over several classes.", unsure, views),
    ]
    contents = {
        files.EVALUATION_PAGE: evaluation_page(evaluated, other, walls, foot=made),
        files.EVALUATION_FILE: files.evaluation_json(
            evaluated, other, mistakes=[one for _, one in worst], uncertain=[one for _, one in unsure], made=made
        ),
        files.ANSWERS_FILE: files.answers_csv(evaluated),
    }
    for name, content in contents.items():
        verb = "replaced" if (folder / name).exists() else "wrote"
        write_atomically(folder / name, content)
        say(f"{verb:12}{printable(folder / name)}")
    cold = sum(view.heat is None for view in views.values())
    if cold and given.heatmap_seconds:
        say(f"{'note':12}{cold} of {plural(len(views), 'image')} without heatmaps: time was up; see --heatmap-seconds")


def _arguments() -> argparse.Namespace:
    parser = plain_parser("evaluate", _HELP)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a completed run, or a model folder")
    parser.add_argument("images", type=Path, metavar="DIR", help="labelled folder, or a table (csv, jsonl, parquet)")
    parser.add_argument("--split", choices=_SPLITS, help="which images, where there are splits; default test, then val")
    parser.add_argument("--against", type=Path, metavar="RUN2", help="a second model, compared on the same images")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write; default RUN/evaluations/NAME")
    parser.add_argument(
        "--gallery",
        type=int,
        default=_GALLERY,
        metavar="N",
        help="images of each kind shown; default %(default)s",
    )
    parser.add_argument(
        "--heatmap-seconds",
        type=float,
        default=_HEAT_SECONDS,
        metavar="S",
        help="for heatmaps, 0: none; default %(default)s",
    )
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="images at a time; default %(default)s")
    add_model_options(parser)
    return parser.parse_args()
