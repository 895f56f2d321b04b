"""Which image lies in which split, as a table; `data=table` reads it again."""

import csv
import io
from collections import Counter
from collections.abc import Mapping

from thawline.data.sources.source import SPLITS, ImageSource, IntArray, Split, training_weights
from thawline.printable import printable

SPLITS_FILE = "splits.csv"  # in a run's folder


def split_table(source: ImageSource, splits: Mapping[Split, IntArray]) -> str:
    """CSV with the columns path, label, split, group, and weight where images have one; train first, as in the source.

    `path` is the image's own, as bytes of any name are written by `encoded`; of an image without a file it is what
    `describe` says. `group` is the name of its group, or the number of an unnamed group of
    several images, or empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    weighted = training_weights(source, splits["train"]) is not None
    writer.writerow(("path", "label", "split", "group", *(["weight"] if weighted else [])))
    groups, path_of = _group_names(source), getattr(source, "path", source.describe)
    for split in SPLITS:
        weights = training_weights(source, splits[split])
        for place, image in enumerate(splits[split]):
            label = source.class_names[source.labels[image]]
            weight = [] if weights is None else [f"{weights[place]:.12g}"]
            writer.writerow((path_of(int(image)), label, split, groups[image], *weight))
    return text.getvalue()


def encoded(table: str) -> bytes:
    """UTF-8; bytes of file names that are none stay what they are, as `data=table` reads them."""
    try:
        return table.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # half a character in a name, as Windows allows it
        return table.encode(errors="backslashreplace")


def _group_names(source: ImageSource) -> list[str]:
    number = source.groups.tolist()
    sizes = Counter(number)
    names = getattr(source, "group_names", None)
    named = [""] * len(number) if names is None else [printable(name) for name in names]
    return [name or (str(group) if sizes[group] > 1 else "") for name, group in zip(named, number, strict=True)]
