"""Which split the name of a folder stands for: `Training`, `val`, `seg_test`."""

import re
from collections.abc import Mapping

from thawline.data.sources.source import Split

_WORDS: Mapping[str, Split] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "validating", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation", "holdout"), "test"),
}
# Words that stand beside a split's and say nothing: `seg_train`, `train_set`, `Test images`.
_FILLERS = frozenset(["seg", "set", "data", "dataset", "split", "images", "image", "imgs", "img", "folder"])
_UNLABELLED = frozenset(["pred", "predict", "prediction", "predictions", "unlabelled", "unlabeled", "submission"])
_NUMBERED_PART = re.compile(r"(fold|split|part|batch|chunk|subset|set|shard|cv)[ _-]*\d+", re.IGNORECASE)


def split_of_name(name: str) -> Split | None:
    """The split that a folder of this name holds, or None.

    >>> [split_of_name(name) for name in ("Training", "seg_test", "valid", "trainer", "test_positive")]
    ['train', 'test', 'val', None, None]
    """
    words = [word for word in _words(name) if word not in _FILLERS]
    return _WORDS.get(words[0]) if len(words) == 1 else None


def is_unlabelled_name(name: str) -> bool:
    """Whether the name says that the images have no labels: `seg_pred`, `unlabeled`."""
    return bool(_UNLABELLED & set(_words(name)))


def is_numbered_part(name: str) -> bool:
    """Whether the name says part of a whole: `fold1`, `batch_02`."""
    return _NUMBERED_PART.fullmatch(name) is not None


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)  # trainSet -> train Set
    return [word for word in re.split(r"[^a-z]+", spaced.lower()) if word] if not re.search(r"\d", name) else []
