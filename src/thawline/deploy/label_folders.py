"""Labels as names of folders, another for each label."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from thawline.printable import printable

_DIGITS = 8  # of a digest in a name; 9,000 labels of one name would agree in them once in a hundred times
_SHOWN = 20  # labels in messages


def label_folders(labels: Sequence[str]) -> dict[str, str]:
    """Label -> the name of its folder, for images and for pictures.

    Where names would be the same, or differ by upper and lower case only, which some file systems do not, one label
    keeps the name: that which is its name, or else the first. The others get a digest of the label.

    >>> label_folders(["cats/indoor", "cat", "a/b", "a_b"])
    {'cat': 'cat', 'a_b': 'a_b', 'cats/indoor': 'cats_indoor', 'a/b': 'a_b-c14cddc0'}
    """
    folders: dict[str, str] = {}
    taken: set[str] = set()
    for label in sorted(labels, key=lambda label: folder_name(label) != label):
        name = folder_name(label)
        if name.casefold() in taken:
            name = f"{name}-{hashlib.sha256(label.encode(errors='surrogatepass')).hexdigest()[:_DIGITS]}"
        taken.add(name.casefold())
        folders[label] = name
    return folders


def folder_name(label: str) -> str:
    """A label as the name of a folder: `a/b` and `..` are none.

    >>> folder_name("cats/indoor"), folder_name("..")
    ('cats_indoor', '_.')
    """
    name = printable(label).replace("/", "_").replace("\\", "_") or "_"
    return f"_{name[1:]}" if name.startswith(".") else name


def renamed(folders: Mapping[str, str]) -> Iterator[str]:
    """Sentences on the labels whose folder has a digest, because another label has their name."""
    others = [(label, name) for label, name in folders.items() if name != folder_name(label)]
    for label, name in others[:_SHOWN]:
        shared = folder_name(label)
        yield f"images of {printable(label)} are in {name}: {shared} would be the folder of another class too"
    if len(others) > _SHOWN:
        yield f"so are those of {len(others) - _SHOWN:,} classes more"
