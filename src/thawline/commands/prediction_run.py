"""From the arguments of `predict` to rows: the model, the pass over the images, where the rows go, what is told."""

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from thawline.amounts import plural
from thawline.commands.prediction_progress import Bars, bars
from thawline.commands.prediction_report import FirstRows, StandardOutput, summary, unknown_line
from thawline.deploy.image_list import STDIN, Listed
from thawline.deploy.label_folders import label_folders, renamed
from thawline.deploy.loaded import Model, load
from thawline.deploy.prediction_copies import Copies, checked_folder
from thawline.deploy.prediction_files import PredictionFile, Written, checked
from thawline.deploy.prediction_heatmaps import Heatmaps
from thawline.deploy.prediction_pass import Wanted, predicted, with_thread_choice
from thawline.deploy.prediction_rows import UNKNOWN, Row, columns, is_kept, label_of, num_far
from thawline.errors import LINE_PRINTED, UserError
from thawline.machine.memory import keep_freed_memory
from thawline.machine.sigterm import Terminated
from thawline.printable import printable


class Outlet(Protocol):
    """Where rows go."""

    written: Written

    def write(self, rows: Sequence[Row], written: Written) -> None: ...


def run(given: argparse.Namespace, images: Listed) -> None:
    """Predict and tell.

    Raises:
        UserError, CannotWrite
    """
    out = checked(given.out) if given.out is not None and str(given.out) != STDIN else None
    sorted_to = None if given.copy_to is None else checked_folder(given.copy_to, images.folders)
    pictures = None if given.explain is None else checked_folder(given.explain, images.folders, option="--explain")
    keep_freed_memory()  # before torch computes; on a GPU it costs nothing
    model = load(given.run, trust=given.trust, accelerator=given.accelerator, precision=given.precision)
    top = min(given.top, len(model.class_names))
    limit, least = _threshold(model) if given.unknown else None, _set_threshold(model) if given.set else None
    wanted = Wanted(images.paths, top, given.batch_size, given.workers, unknown_from=limit, set_from=least)
    folders = label_folders([*model.class_names, *[UNKNOWN] * given.unknown])
    copies = None if sorted_to is None else Copies(sorted_to, folders)
    heat = None if pictures is None else Heatmaps(pictures, model, folders, most=given.explain_most)
    names = columns(top, says_unknown=given.unknown, has_set=given.set)
    with _outlet(given, out, names, _depends_on(given, out, model, images)) as outlet:
        before, start = outlet.written.done, time.perf_counter()
        if heat is not None:  # an interrupted command made those of its rows
            heat.made = sum(outlet.written.counts.values())
        try:
            _pass(model, wanted, outlet, only_above=given.only_above, copies=copies, heat=heat)
        except (KeyboardInterrupt, Terminated) as stop:
            print(_interrupted(outlet, len(images.paths)), file=sys.stderr)
            setattr(stop, LINE_PRINTED, True)
            raise
    seconds = time.perf_counter() - start
    lines = summary(outlet.written, images, only_above=given.only_above, before=before, seconds=seconds)
    if model.unknown_threshold is not None:
        lines.append(unknown_line(outlet.written, model.unknown_threshold))
    lines += _of_folders(copies, heat)
    places = [f"wrote  {printable(place)}" for place in (out, sorted_to, pictures) if place is not None]
    print(*lines, *places, sep="\n", file=sys.stderr if isinstance(outlet, StandardOutput) else sys.stdout)


def _of_folders(copies: Copies | None, heat: Heatmaps | None) -> Iterator[str]:
    """What the names of folders do not say."""
    if heat is not None and not heat.left:
        yield f"heatmaps of the first {plural(heat.most, 'image')}; --explain-most N makes others"
    if (made := copies or heat) is not None:
        yield from renamed(made.folders)


def _threshold(model: Model) -> float:
    """
    Raises:
        UserError: The model has none, or a class of this name.
    """
    if UNKNOWN in model.class_names:
        raise UserError(f"--unknown: the model has a class {UNKNOWN}, so the label would say two things; leave it out")
    if model.unknown_threshold is None:
        raise UserError(
            "--unknown: model.json holds no threshold (a version of before made it, or fewer than 19 validation "
            "images were there); leave it out, and look at the column unknown_score"
        )
    return model.unknown_threshold


def _set_threshold(model: Model) -> float:
    """
    Raises:
        UserError: The model has none.
    """
    if model.set_threshold is None:
        raise UserError(
            "--set: model.json holds no threshold of sets (it was made of an older run, and is not calibrated); "
            "leave it out, or run again"
        )
    return model.set_threshold


def _pass(
    model: Model,
    wanted: Wanted,
    outlet: Outlet,
    *,
    only_above: float | None,
    copies: Copies | None,
    heat: Heatmaps | None,
) -> None:
    start, total = outlet.written.done, len(wanted.paths)
    batches = with_thread_choice(model, predicted(model, wanted, start=start), total - start)
    with bars(total, start, heatmaps=heat.left if heat is not None else 0) as bar:
        for rows in batches:
            kept = [row for row in rows if is_kept(row, only_above)]
            labels = [label_of(row) for row in kept]
            if copies is not None:
                for row, label in zip(kept, labels, strict=True):
                    if label is not None:
                        copies.add(str(row[0]), label)
            if heat is not None:
                _explain(heat, kept, bar)
            far = num_far(rows, model.unknown_threshold)
            outlet.write(kept, outlet.written.after(labels, left_out=len(rows) - len(kept), far=far))
            bar.images(len(rows))


def _explain(heat: Heatmaps, rows: Sequence[Row], bar: Bars) -> None:
    for row in rows:
        label = label_of(row)
        if label is not None and heat.left:
            heat.add(str(row[0]), label)
            bar.heatmaps(1)


def _depends_on(
    given: argparse.Namespace, out: Path | None, model: Model, images: Listed
) -> dict[str, str | float | None]:
    """What makes the rows of a file: its name in a message -> its value."""
    lists = out is not None and out.suffix.lower() != ".csv"
    return {
        "model": hashlib.sha256(model.description.text().encode()).hexdigest(),
        "list of images": images.paths.digest(),
        "--precision": given.precision,
        "--accelerator": given.accelerator,
        "--top": given.top,
        "--only-above": given.only_above,
        "--copy-to": None if given.copy_to is None else printable(given.copy_to.resolve()),
        "--unknown": True if given.unknown else None,
        "--set": True if given.set else None,
        "form of rows": "top is a list" if lists else None,  # earlier versions wrote texts
        "--explain": None if given.explain is None else printable(given.explain.resolve()),
    }


def _outlet(
    given: argparse.Namespace, out: Path | None, names: Sequence[str], depends_on: dict[str, str | float | None]
) -> AbstractContextManager[Outlet]:
    if out is not None:
        return PredictionFile(out, names, of=depends_on, overwrite=given.overwrite)
    return StandardOutput(names) if given.out is not None or not sys.stdout.isatty() else FirstRows(names)


def _interrupted(outlet: Outlet, total: int) -> str:
    done = f"interrupted after {outlet.written.done:,} of {plural(total, 'image')}"
    return f"{done}; the same command, without --overwrite, goes on" if isinstance(outlet, PredictionFile) else done
