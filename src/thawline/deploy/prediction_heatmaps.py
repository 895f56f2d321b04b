"""Heatmaps of predicted images as files: which parts of an image its answer needs."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from thawline.atomic import CannotWrite
from thawline.data.decode import UnreadableImage
from thawline.deploy.heatmap import heatmap, overlay
from thawline.deploy.loaded import Model

_DIGITS = 8  # of a digest of the path: images of one name from two folders get two files
_QUALITY = 90  # of JPEG


@dataclass
class Heatmaps:
    """Writes `folder`/LABEL/NAME-DIGEST.jpg for the first images that have an answer.

    Attributes:
        folders: Label -> the name of its folder.
        most: Number of images at most.
        made: Number of images that are done with, those of an interrupted command too.
    """

    folder: Path
    model: Model
    folders: Mapping[str, str]
    most: int
    made: int = 0

    @property
    def left(self) -> int:
        return max(0, self.most - self.made)

    def add(self, path: str, label: str) -> None:
        """Of the likeliest class, which is not `label` where that is `unknown`; an image that went away has none.

        Raises:
            CannotWrite: The picture is not there.
        """
        self.made += 1
        try:
            image = self.model.prepare(path)
        except UnreadableImage:
            return
        index = int(self.model.net.log_probabilities(image[None]).argmax())
        picture = overlay(image, heatmap(self.model, image, index))
        digest = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:_DIGITS]
        target = self.folder / self.folders[label] / f"{Path(path).stem}-{digest}.jpg"
        part = target.with_name(f"{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            picture.save(part, "JPEG", quality=_QUALITY)
            os.replace(part, target)
        except OSError as error:
            raise CannotWrite(error.errno, error.strerror or str(error), str(target)) from error
