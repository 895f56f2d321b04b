"""Which images belong together, so that no split separates them: by their names, by likeness, and copies always."""

import re

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from thawline.data.near_copies import near_groups
from thawline.data.sources.content import Content
from thawline.data.sources.folder_content import group
from thawline.data.sources.folder_index import Index
from thawline.data.sources.source import SPLITS, IntArray
from thawline.errors import UserError
from thawline.printable import printable

NEAR_COPIES = "near_copies"


def grouped(index: Index, content: Content | None, group_by: str | None) -> tuple[IntArray, NDArray[np.str_]]:
    """The group of every image, (N,), int64, and its name, (N,), str, empty for none.

    Byte-identical images share a group in any case, and images of one named group do.

    Raises:
        UserError: `group_by` does not fit the paths, or a group lies in two of the splits that are defined.
    """
    every = np.arange(len(index.labels), dtype=np.int64)
    together = [every if content is None else group(content.digests)]
    names = named_groups(index, group_by)
    if group_by == NEAR_COPIES:
        if content is None:
            raise UserError("data.group_by=near_copies needs data.verify=true: only reading every image finds them")
        together.append(near_groups(content.thumbs))
    if names is not None:
        alone = np.array([f"\0{number}" for number in every])  # an image without a group has one of its own
        together.append(np.unique(np.where(names == "", alone, names), return_inverse=True)[1].astype(np.int64))
    groups = together[0] if len(together) == 1 else joined(together)
    if len(together) > 1:
        _refuse_divided(index, groups, names)
    return groups, np.zeros(len(every), dtype="U1") if names is None else names


def named_groups(index: Index, group_by: str | None) -> NDArray[np.str_] | None:
    """The name that `group_by` reads from each path, or that the index gives; None where there are no names."""
    if group_by is None or group_by == NEAR_COPIES:
        return index.group_names
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise UserError(f"data.group_by={group_by}: is no regular expression ({error})") from error
    if not pattern.groups:
        raise UserError(
            f"data.group_by={group_by}: put the part of the path that names the group in parentheses, such as "
            r"'data.group_by=(patient\d+)', or give near_copies"
        )
    matches = [pattern.search(str(path)) for path in index.paths]
    missed = [number for number, match in enumerate(matches) if match is None or match[1] is None]
    if missed:
        raise UserError(
            f"data.group_by={group_by}: does not match {len(missed)} of {len(matches)} paths, first: "
            f"{printable(index.paths[missed[0]])}; widen the expression"
        )
    return np.array([match[1] for match in matches if match is not None], dtype=np.str_)


def joined(groupings: list[IntArray]) -> IntArray:
    """Groups such that images which share one in any of `groupings`, (N,) each, share one: (N,), int64."""
    number = len(groupings[0])
    images = np.tile(np.arange(number), len(groupings))
    # Every group of a grouping is a node of its own beside the images; an edge joins an image to its group.
    offsets = number + np.cumsum([0] + [int(groups.max(initial=0)) + 1 for groups in groupings])
    nodes = np.concatenate([groups + offset for groups, offset in zip(groupings, offsets, strict=False)])
    size = int(offsets[-1])
    graph = coo_array((np.ones(len(nodes), dtype=np.int8), (images, nodes)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][:number], dtype=np.int64)


def _refuse_divided(index: Index, groups: IntArray, names: NDArray[np.str_] | None) -> None:
    if index.parts is None:
        return
    given = np.flatnonzero(index.parts >= 0)
    pairs = np.unique(np.stack([groups[given], index.parts[given]]), axis=1)  # (2, P): every split of every group
    twice = pairs[0][1:][pairs[0][1:] == pairs[0][:-1]]
    if not len(twice):
        return
    members = given[groups[given] == twice[0]]
    first = members[0]
    other = members[index.parts[members] != index.parts[first]][0]
    label = f"{printable(names[first])!r} " if names is not None and names[first] else ""
    raise UserError(
        f"data.group_by: group {label}lies in {SPLITS[index.parts[first]]} and in {SPLITS[index.parts[other]]} "
        f"({printable(index.paths[first])}, {printable(index.paths[other])}), {len(twice)} such groups in all; "
        "put each into one split"
    )
