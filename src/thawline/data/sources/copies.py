"""Byte-identical images, and files that do not decode: what is told of them."""

import logging

import numpy as np
from numpy.typing import NDArray

from thawline.amounts import plural
from thawline.data.sources.folder_content import contradiction, group
from thawline.data.sources.folder_index import Index
from thawline.data.sources.source import IntArray
from thawline.errors import UserError
from thawline.printable import printable

_log = logging.getLogger(__name__)


def take_readable(where: str, index: Index, readable: IntArray) -> Index:
    """The index of the readable images; raises `UserError` if a class or a split is left without one."""
    kept = index.take(readable)
    emptied = set(index.splits()) - set(kept.splits())
    if emptied:
        raise UserError(f"{where}: {min(emptied)}/ has no readable image; add images or remove the folder")
    learned = kept.labels[kept.splits()["train"]] if kept.parts is not None else kept.labels
    counts = np.bincount(learned, minlength=len(kept.class_names))  # (K,)
    if (counts == 0).any():
        name = kept.class_names[int(counts.argmin())]
        raise UserError(f"{where}: class {name!r} has no readable image; add images or remove the folder")
    return kept


def warn_of_copies(index: Index, digests: NDArray[np.bytes_]) -> None:
    """Warn of an image in two classes, and of copies across the splits that the folder defines.

    Raises:
        UserError: Every image of a class stands under another class too.
    """
    copies = group(digests)
    pair = contradiction(index.labels, copies)
    if pair is not None:
        _refuse_shadowed(index, copies)
        first, second = (printable(index.paths[i]) for i in pair)
        _log.warning("the same image stands under two classes, for example %s and %s", first, second)
    splits = index.splits()
    for split, other in (("test", "train"), ("val", "train"), ("test", "val")):
        if split in splits and other in splits:
            _warn_of_leak(index.paths, digests, split=(split, splits[split]), other=(other, splits[other]))


def _refuse_shadowed(index: Index, copies: IntArray) -> None:
    pairs = np.unique(np.stack([copies, index.labels]), axis=1)  # (2, P): every class of every image
    shared = np.bincount(pairs[0])[pairs[0]] > 1
    for label, name in enumerate(index.class_names):
        if shared[pairs[1] == label].all():
            raise UserError(f"every image of class '{name}' stands under another class too; leave it in one of them")


def _warn_of_leak(
    paths: NDArray[np.str_], digests: NDArray[np.bytes_], *, split: tuple[str, IntArray], other: tuple[str, IntArray]
) -> None:
    (name, indices), (other_name, other_indices) = split, other
    leaked = indices[np.isin(digests[indices], digests[other_indices])]
    if not len(leaked):
        return
    twin = other_indices[digests[other_indices] == digests[leaked[0]]][0]
    words = {"train": "training", "val": "validation", "test": "test"}
    what = plural(len(leaked), f"{words[name]} image is", f"{words[name]} images are")
    _log.warning(
        "%s byte-identical to %s images, first: %s = %s",
        *(what, words[other_name], printable(paths[leaked[0]]), printable(paths[twin])),
    )
