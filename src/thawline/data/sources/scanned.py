"""What reading every image of a source showed, for those who look for what is wrong with it."""

from dataclasses import dataclass
from pathlib import Path

from thawline.data.sources.content import Content
from thawline.data.sources.folder_index import Index
from thawline.data.sources.source import IntArray


@dataclass(frozen=True)
class Scanned:
    """Images that were all read.

    Attributes:
        index: Paths, classes and given splits.
        content: In the order of the index.
        num_bytes: Size of each file, (N,), int64, -1 where it is gone; None where images are no files.
        listed: The folder or table that lists the same images to an inspection; None where none does.
        folder: Of the cache, where notes on these images are kept; None keeps none.
    """

    index: Index
    content: Content
    num_bytes: IntArray | None
    listed: Path | None
    folder: Path | None
