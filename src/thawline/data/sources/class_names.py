"""Names of classes from names of folders: compared, ordered and shown as people read them."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from thawline.printable import printable


def class_name(folder_name: str) -> str:
    """The class that a folder of this name holds: Unicode's composed form (NFC), with escapes for what is no text.

    macOS writes é as e and an accent, other systems as one character; both look the same and are the same class.
    """
    return printable(unicodedata.normalize("NFC", folder_name))


def natural_order(names: Iterable[str]) -> list[str]:
    """Sort names as people do: digits by their value, letters without regard to case ("2", "10", "a", "B").

    A minus is a sign if every name is a whole number, otherwise a hyphen.
    """
    from natsort import natsorted, ns  # slow to load, and only folder sources need it

    names = sorted(names)  # decides the order of names that differ in case only, such as "a" and "A"
    whole_numbers = all(re.fullmatch(r"-?\d+", name) for name in names)
    return natsorted(names, alg=ns.IGNORECASE | ns.SIGNED if whole_numbers else ns.IGNORECASE)


def class_numbers(texts: NDArray[np.str_]) -> tuple[list[str], NDArray[np.int64]]:
    """The classes that texts name, in natural order, (K,), and the number of each text's class, (N,) -> (N,)."""
    distinct_texts, places = np.unique(texts, return_inverse=True)
    names = [class_name(str(text)) for text in distinct_texts]
    ordered = natural_order(set(names))
    numbers = {name: number for number, name in enumerate(ordered)}
    return ordered, np.array([numbers[name] for name in names], dtype=np.int64)[places]


def look_alike(name: str, others: Sequence[str]) -> str | None:
    """The first of `others` that differs from `name` in case, spaces or invisible characters only, or None."""
    return next((other for other in others if other != name and _plain(other) == _plain(name)), None)


def distinct(name: str, other: str) -> str:
    """Both names, written so that the difference can be seen: what a terminal cannot show stands as an escape."""
    if name.casefold() != other.casefold() and _plain(name) == _plain(other):
        return f"{name!a} and {other!a}"
    return f"{name!r} and {other!r}"


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in letters if unicodedata.category(letter) not in ("Zs", "Cf", "Cc"))
