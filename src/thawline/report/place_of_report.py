"""Where a report on images goes: a folder named like the images, unless that is another set's."""

import json
from pathlib import Path

from thawline.printable import printable


def place_of_report(first: Path, images: Path, *, file: str, section: str) -> Path:
    """`first`, with a number where an earlier report on other images lies; one on the same images is replaced.

    Args:
        images: Where the images lie, absolute.
        file, section: The report's JSON file in its folder, and the section whose key `where` names its images.
    """
    number, folder = 1, first
    while _images_of(folder / file, section) not in (None, printable(images)):
        number += 1
        folder = first.with_name(f"{first.name}-{number}")
    return folder


def _images_of(path: Path, section: str) -> str | None:
    """Where the images of an earlier report lay; None if there was none that can be read."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))[section]["where"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
