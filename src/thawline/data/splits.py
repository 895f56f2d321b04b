"""Train, validation and test: stratified by class, whole groups together, fixed by a seed."""

from collections.abc import Mapping, Sequence

import numpy as np

from thawline.amounts import plural
from thawline.data.mixed_groups import members_by_class, take_groups
from thawline.data.sources.source import SPLITS, ImageSource, IntArray, Split
from thawline.data.sources.subset import largest_remainder
from thawline.errors import UserError
from thawline.settings.data_settings import LoaderSettings


def splits_of(source: ImageSource, loader: LoaderSettings) -> dict[Split, IntArray]:
    """`complete_splits` of a source with the settings `data.val_fraction`, `test_fraction` and `split_seed`."""
    return complete_splits(
        source.splits,
        labels=source.labels,
        groups=source.groups,
        class_names=source.class_names,
        val_fraction=loader.val_fraction,
        test_fraction=loader.test_fraction,
        seed=loader.split_seed,
    )


def complete_splits(
    defined: Mapping[Split, IntArray],
    *,
    labels: IntArray,
    groups: IntArray,
    class_names: Sequence[str],
    val_fraction: float,
    test_fraction: float,
    seed: int,
) -> dict[Split, IntArray]:
    """Make the splits that the source does not define, from its `train` split, or from all images if it has none.

    Args:
        defined: Index arrays of the splits that the source defines.
        labels, groups: Class and group per image, (N,), int64. A group lies in one split only.
        val_fraction, test_fraction: Share of the images to split off, in (0, 1).
    Returns:
        `train`, `val` and `test`: ascending, disjoint index arrays, int64. A split that was made here has every class.
    Raises:
        UserError: A class has too few images.
    """
    fractions: dict[Split, float] = {"test": test_fraction, "val": val_fraction}
    missing = [split for split in fractions if split not in defined]
    splits: dict[Split, IntArray] = dict(defined)
    pool = defined.get("train", np.arange(len(labels), dtype=np.int64))
    _check_enough(pool, labels, groups, class_names, num_splits=len(missing) + 1)
    num_pool = len(pool)
    for num_left, split in zip(range(len(missing), 0, -1), missing, strict=True):
        count = round(fractions[split] * num_pool)
        splits[split] = _split_off(pool, count, labels=labels, groups=groups, leave=num_left, seed=[seed, num_left])
        pool = np.setdiff1d(pool, splits[split])
    splits["train"] = pool
    return {split: np.sort(splits[split]) for split in SPLITS}


def _check_enough(
    pool: IntArray, labels: IntArray, groups: IntArray, class_names: Sequence[str], *, num_splits: int
) -> None:
    members = members_by_class(pool, labels, groups, num_classes=len(class_names))
    counts = (members > 0).sum(axis=0)  # (K,) groups that hold the class
    smallest = int(counts.argmin())
    if counts[smallest] >= num_splits:
        return
    name, number = class_names[smallest], int(counts[smallest])
    if members.sum(axis=1).max() > 1 and members[:, smallest].sum() >= num_splits:
        what = f"all images of class '{name}' lie in {plural(number, 'group')} of images that belong together"
    else:
        what = f"class '{name}' has {plural(number, 'distinct image')}"
    raise UserError(
        f"{what}; at least {num_splits} are needed to put one in each of {num_splits} splits; "
        "add images, or provide val/ and test/ folders"
    )


def _split_off(
    pool: IntArray, count: int, *, labels: IntArray, groups: IntArray, leave: int, seed: list[int]
) -> IntArray:
    """Take about `count` images, stratified by class, in whole groups; at least `leave` groups of every class stay."""
    rng = np.random.default_rng(seed)
    members = members_by_class(pool, labels, groups, num_classes=int(labels.max()) + 1)
    if ((members > 0).sum(axis=1) > 1).any():
        quotas = stratified_counts(members.sum(axis=0), count, leave=leave)
        taken_groups = np.unique(groups[pool])[take_groups(members, quotas, leave=leave, rng=rng)]
        return pool[np.isin(groups[pool], taken_groups)]
    leaders = group_leaders(pool, groups)
    sizes = np.bincount(labels[leaders])
    quotas = stratified_counts(sizes, round(count * len(leaders) / len(pool)), leave=leave)
    taken = [rng.permutation(leaders[labels[leaders] == k])[:quota] for k, quota in enumerate(quotas)]
    return pool[np.isin(groups[pool], groups[np.concatenate(taken)])]


def group_leaders(pool: IntArray, groups: IntArray) -> IntArray:
    """The first image of every group in `pool`, (G,), int64, in the order of `pool`."""
    first = np.unique(groups[pool], return_index=True)[1]
    return pool[np.sort(first)]


def stratified_counts(sizes: IntArray, total: int, *, leave: int) -> IntArray:
    """Divide `total` among classes in proportion to `sizes` by largest remainder, within bounds.

    Every class that has members gives at least 1 and keeps at least `leave`, even if the sum is then not `total`.

    Args:
        sizes: Members per class, (K,), int64.
    Returns:
        (K,), int64.
    """
    counts = largest_remainder(sizes, total)
    return np.where(sizes > 0, np.clip(counts, 1, np.maximum(1, sizes - leave)), 0)
