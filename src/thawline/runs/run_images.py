"""The images of a run, made again from its config.yaml: to check and to calibrate an exported model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from thawline.data.sources.source import ImageSource, Split, reduced
from thawline.data.splits import splits_of
from thawline.deploy.export_images import Images
from thawline.errors import UserError
from thawline.report.run_record import RECORD_FILE, load_record
from thawline.runs.composed import Composed
from thawline.runs.make import make
from thawline.runs.resume import CONFIG_NAME

_PACKAGE = "thawline."  # begins the name of a data source that comes along


class RunImages:
    """The splits of a run.

    Args:
        run: Its folder.
        trust: Whether a data source outside Thawline, which config.yaml names, may run.
    Raises:
        UserError: There is no config.yaml, the images are not there, or they are others than the run's.
        omegaconf.errors.OmegaConfBaseException: A value in config.yaml has another type.
    """

    def __init__(self, run: Path, *, trust: bool = False) -> None:
        config = run / CONFIG_NAME
        if not config.is_file() or not (run / RECORD_FILE).is_file():
            raise UserError(f"{run} is no run's folder: it holds no {CONFIG_NAME}")
        record = load_record(run / RECORD_FILE)
        settings = Composed.saved(config).read().settings
        foreign = [target for target in _targets(settings.source) if not target.startswith(_PACKAGE)]
        if foreign and not trust:
            raise UserError(f"the images come from {foreign[0]}, code outside Thawline; add --trust if you know it")
        source: ImageSource = make(settings.source, "data.source")
        self.source = reduced(source, record.data.decoded_side)
        if self.source.fingerprint() != record.data.fingerprint:
            raise UserError(f"the images of {record.data.name} have changed since the run")
        self.splits = splits_of(self.source, settings.loader)

    def some(self, split: Split, *, most: int) -> Images:
        """Images of a split: all, or `most` of them, drawn with a fixed seed."""
        all_indices = self.splits[split]
        indices: Any = all_indices
        if len(indices) > most:
            indices = np.sort(np.random.default_rng(0).choice(indices, most, replace=False))
        number = f"{len(indices)}" if len(indices) == len(all_indices) else f"{len(indices)} of {len(all_indices)}"
        name = {"train": "training", "val": "validation", "test": "test"}[split]

        def load(position: int) -> Image.Image:
            return self.source.load(int(indices[position]))

        labels = self.source.labels[indices].tolist()
        return Images(load, len(indices), labels, f"{number} {name} images of {self.source.name}")


def _targets(node: Any) -> Iterator[str]:
    """What a node of a config would run: a source may hold another one."""
    if isinstance(node, dict):
        yield from (str(node[key]) for key in ("_target_",) if key in node)
    inside = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for part in inside:
        yield from _targets(part)
