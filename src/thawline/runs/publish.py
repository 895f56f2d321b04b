"""Make the folder of a run hold what one of its rungs gave."""

import os
import shutil
from dataclasses import fields
from pathlib import Path

from thawline.atomic import replacing
from thawline.callbacks.metrics_file import METRICS_FILE
from thawline.data.split_table import SPLITS_FILE
from thawline.deploy.description_file import DESCRIPTION_FILE
from thawline.deploy.portable import MODEL_FOLDER
from thawline.freezing.certificate import CERTIFICATE_FILE
from thawline.report.run_record import RunRecord
from thawline.runs.projected import PROJECTOR_CONFIG, PROJECTOR_FOLDER

_OF_THE_RUN = (
    "run_id",
    "scenario",
    "seed",
    "status",
    "error",
    "advice",
    "versions",
    "progress",
)  # fields that the run keeps
_CHECKPOINTS = "checkpoints"
_EVENTS = "events.out.tfevents.*"


def publish(rung: RunRecord, source: Path, run: RunRecord, target: Path) -> None:
    """Copy checkpoints, portable model, certificate and logs of the rung, then take over its results.

    A reader of any file sees the old one or the new one. On one file system nothing is copied, but linked.
    """
    for field in fields(run):
        if field.name not in _OF_THE_RUN:
            setattr(run, field.name, getattr(rung, field.name))
    (target / _CHECKPOINTS).mkdir(exist_ok=True)
    for path in sorted((source / _CHECKPOINTS).glob("*.ckpt")):
        _replace(path, target / _CHECKPOINTS / path.name)
    for name in (CERTIFICATE_FILE, SPLITS_FILE, METRICS_FILE):
        if (source / name).is_file():
            _replace(source / name, target / name)
    _replace_folder(source / MODEL_FOLDER, target / MODEL_FOLDER)
    _publish_projector(source, target)
    before = set(target.glob(_EVENTS))
    for path in source.glob(_EVENTS):
        _replace(path, target / path.name)
        before.discard(target / path.name)
    for path in before:
        path.unlink()


def _publish_projector(source: Path, target: Path) -> None:
    shutil.rmtree(target / PROJECTOR_FOLDER, ignore_errors=True)
    for path in [source / PROJECTOR_CONFIG, *(source / PROJECTOR_FOLDER).rglob("*")]:
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, place)


def _replace_folder(source: Path, target: Path) -> None:
    """Take over every file; the description comes last, so that a model that is half new is refused by its checksum."""
    if not source.is_dir():
        return
    target.mkdir(exist_ok=True)
    for name in sorted((path.name for path in source.iterdir()), key=lambda name: name == DESCRIPTION_FILE):
        _replace(source / name, target / name)


def _replace(source: Path, target: Path) -> None:
    with replacing(target) as part:
        part.unlink(missing_ok=True)
        try:
            os.link(source, part)
        except OSError:
            shutil.copyfile(source, part)
