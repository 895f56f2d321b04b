"""The rows of predictions: their columns, and their values from log-probabilities."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor

from thawline.deploy.likeliest import likeliest
from thawline.deploy.prediction_sets import named_sets


class Ranked(NamedTuple):
    """A class with its probability."""

    label: str
    probability: float


Value = str | float | Ranked | tuple[str, ...] | None
Row = tuple[Value, ...]  # the values of `columns`
_DIGITS = 6  # of probabilities, after the point
UNKNOWN = "unknown"  # label of an image that shows none of the classes
SET, TOP = "set", "top"  # names of a column, and of the list of the likeliest classes, in CSV a column each


def columns(top: int, *, says_unknown: bool = False, has_set: bool = False) -> tuple[str, ...]:
    """Names of the columns, with the second to the `top`-th class; where labels may be `unknown` with the first too.

    Args:
        has_set: Whether there is a column of prediction sets.

    >>> columns(3)
    ('path', 'label', 'probability', 'entropy', 'unknown_score', 'top2', 'top3', 'error')
    """
    others = tuple(f"top{place}" for place in range(1 if says_unknown else 2, top + 1))
    sets = (SET,) if has_set else ()
    return ("path", "label", "probability", "entropy", "unknown_score", *others, *sets, "error")


def as_text(value: Value) -> str | float | None:
    """For a cell: `big dog 0.031200`, and sets as pandas' `str.get_dummies` takes them, `cat|dog`."""
    if isinstance(value, Ranked):
        return f"{value.label} {value.probability:.{_DIGITS}f}"
    return "|".join(str(name).replace("|", r"\|") for name in value) if isinstance(value, tuple) else value


def fields(columns: Sequence[str]) -> list[str]:
    """Names of what `as_fields` gives: the classes are one list.

    >>> fields(columns(3))
    ['path', 'label', 'probability', 'entropy', 'unknown_score', 'top', 'error']
    """
    others = [name for name in columns if not name.startswith(TOP)]
    return [*others[:5], TOP, *others[5:]]


def as_fields(row: Row, columns: Sequence[str]) -> dict[str, Any]:
    """A row for files whose values may be lists: `top` has the likeliest classes, the first first."""
    values: dict[str, Any] = dict(zip(columns, row, strict=True))
    ranked = [values[name] for name in columns if name.startswith(TOP)]
    if "top1" not in values:
        ranked = [Ranked(values["label"], values["probability"]), *ranked]
    values[TOP] = None if values["label"] is None else [one._asdict() for one in ranked]
    return {name: values[name] for name in fields(columns)}


def label_of(row: Row) -> str | None:
    """The likeliest class; None of a file that cannot be read."""
    return None if row[1] is None else str(row[1])


def is_kept(row: Row, only_above: float | None) -> bool:
    """Whether its probability is at least `only_above`; what has none, unknown or unreadable, is always kept."""
    return only_above is None or not isinstance(row[2], float) or row[2] >= only_above


def num_far(rows: Sequence[Row], threshold: float | None) -> int:
    """How many have an unknown score of `threshold` or more; 0 without one."""
    return sum(threshold is not None and isinstance(row[4], float) and row[4] >= threshold for row in rows)


@dataclass(frozen=True)
class Read:
    """A batch of files.

    Attributes:
        errors: Why a file could not be read; None for the others.
        images: Those that could, (G, 3, S, S), uint8; None where there is none.
    """

    paths: list[str]
    errors: list[str | None]
    images: Tensor | None

    def pin_memory(self) -> "Read":
        """Called by torch's loader where a GPU computes: from pinned memory copies need no waiting."""
        return self if self.images is None else replace(self, images=self.images.pin_memory())


def rows(
    read: Read,
    log_probabilities: Tensor | None,
    names: Sequence[str],
    *,
    top: int,
    unknown: Tensor | None = None,
    unknown_from: float | None = None,
    set_from: float | None = None,
) -> list[Row]:
    """One row a file, in their order; that of an unreadable one has a path and an error.

    Args:
        log_probabilities: Of the readable files, (G, K).
        names: Of the K classes.
        top: Number of classes named, at most K.
        unknown: How little an image is like those that the model was trained on, (G,); None leaves it empty.
        unknown_from: From this score on the label is `unknown` and the probability empty; None says a class to all.
        set_from: Probability from which on a class is in the prediction set; None has no column of sets.
    """
    answered = iter(()) if log_probabilities is None else _answered(log_probabilities, names, top, unknown)
    if unknown_from is not None:
        answered = (_or_unknown(one, unknown_from) for one in answered)
    if set_from is not None and log_probabilities is not None:
        sets = named_sets(log_probabilities.exp(), names, threshold=set_from)
        answered = ((*one, of_it) for one, of_it in zip(answered, sets, strict=True))
    names_of = columns(top, says_unknown=unknown_from is not None, has_set=set_from is not None)
    nothing: Row = (None,) * (len(names_of) - 2)
    return [
        (path, *(next(answered) if error is None else nothing), error)
        for path, error in zip(read.paths, read.errors, strict=True)
    ]


def _answered(logs: Tensor, names: Sequence[str], top: int, unknown: Tensor | None) -> Iterator[Row]:
    scores: Sequence[float | None] = [None] * len(logs) if unknown is None else unknown.tolist()
    for (values, at, entropy), score in zip(likeliest(logs, top=top), scores, strict=True):
        others = (Ranked(names[i], round(value, _DIGITS)) for value, i in zip(values[1:], at[1:], strict=True))
        shown = None if score is None else round(score, _DIGITS)
        yield (names[at[0]], round(values[0], _DIGITS), round(entropy, _DIGITS), shown, *others)


def _or_unknown(answered: Row, unknown_from: float) -> Row:
    """(label, probability, entropy, score, top2 ...) -> the same with top1, and `unknown` where the score says so."""
    label, probability, entropy, score, *others = answered
    first = Ranked(str(label), float(str(probability)))
    if isinstance(score, float) and score >= unknown_from:
        label, probability = UNKNOWN, None
    return (label, probability, entropy, score, first, *others)
