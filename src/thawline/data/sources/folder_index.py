"""Lists the images of a folder by class and split, without opening any of them."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thawline.data.sources.source import SPLITS, IntArray, Split
from thawline.errors import UserError

EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .gif .tif .tiff .webp .avif .jp2 .ppm .pgm".split()  # noqa: SIM905
)
SPLIT_FOLDERS: Mapping[str, Split] = {"train": "train", "val": "val", "valid": "val", "test": "test"}
LAYOUT = "class folders directly, or train/ (with val/ and test/ if you have them) holding class folders"

# Kinds of image that Pillow does not read by itself. They are left out, with a warning.
_OTHER_IMAGES = frozenset(
    {".heic", ".heif", ".svg", ".psd", ".exr", ".hdr", ".dcm", ".dng", ".cr2", ".cr3", ".nef", ".arw"}
)
_IGNORED = frozenset({"__macosx", "thumbs.db"})  # made by macOS archives and by Windows

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Index:
    """What a folder holds.

    Attributes:
        class_names: (K,).
        paths: Relative to the root, with forward slashes, (N,), str. An array, because worker processes would copy
            the objects of a list when they read them.
        labels: (N,), int64.
        parts: Position in `SPLITS` per image, (N,), int64; None where the folder defines no splits.
    """

    class_names: list[str]
    paths: NDArray[np.str_]
    labels: IntArray
    parts: IntArray | None

    def take(self, images: IntArray) -> "Index":
        """The index of these images only."""
        parts = None if self.parts is None else self.parts[images]
        return Index(self.class_names, self.paths[images], self.labels[images], parts)

    def splits(self) -> dict[Split, IntArray]:
        """Indices of each split that the folder defines."""
        if self.parts is None:
            return {}
        by_split = {split: np.flatnonzero(self.parts == part).astype(np.int64) for part, split in enumerate(SPLITS)}
        return {split: indices for split, indices in by_split.items() if len(indices)}


def scan(root: Path) -> Index:
    """List the images below `root` by class and split, without opening them.

    Raises:
        UserError: the layout is not as `LAYOUT` says, a class folder holds no image, or there is only one class.
    """
    classes = {split: _class_folders(folder) for split, folder in find_splits(root).items()}
    class_names = natural_order(folder.name for folder in next(iter(classes.values())))
    _check_classes(root, class_names, classes)
    paths: list[str] = []
    labels: list[int] = []
    parts: list[int] = []
    passed_over: Counter[str] = Counter()
    for split, class_folders in classes.items():
        for folder in sorted(class_folders, key=lambda folder: class_names.index(folder.name)):
            images = sorted(path.relative_to(root).as_posix() for path in find_images(folder, passed_over))
            if not images:
                raise UserError(
                    f"data.root={root}: class folder {folder.relative_to(root).as_posix()!r} holds no image "
                    f"({_extensions()}); add images or remove the folder"
                )
            paths += images
            labels += [class_names.index(folder.name)] * len(images)
            parts += [SPLITS.index(split) if split is not None else -1] * len(images)
    if passed_over:
        kinds = ", ".join(f"{count} {kind}" for kind, count in passed_over.most_common(3))
        _log.warning("%d images cannot be read and are left out (%s; %s)", passed_over.total(), kinds, _extensions())
    return Index(
        class_names,
        np.array(paths, dtype=np.str_),
        np.array(labels, dtype=np.int64),
        None if None in classes else np.array(parts, dtype=np.int64),
    )


def find_splits(root: Path) -> dict[Split | None, Path]:
    """The folder of each split, train first; {None: root} if `root` holds class folders directly.

    A folder `train` that holds images only, beside other folders, is a class of that name (of vehicles, say).

    Raises:
        UserError: split folders lack train/, stand beside other folders, or name a split twice.
    """
    folders = _subfolders(root)
    named = [folder for folder in folders if folder.name.lower() in SPLIT_FOLDERS]
    if len(named) < len(folders):
        named = [folder for folder in named if _subfolders(folder)]
    if not named:
        return {None: root}
    others = [folder.name for folder in folders if folder not in named]
    if others:
        raise UserError(
            f"data.root={root}: {named[0].name}/ holds class folders, but {others[0]!r} stands beside it; "
            f"allowed are train, val (or valid), test there and nothing else, or class folders only"
        )
    by_split: dict[Split, Path] = {}
    for folder in named:
        split = SPLIT_FOLDERS[folder.name.lower()]
        if split in by_split:
            raise UserError(f"data.root={root}: {by_split[split].name}/ and {folder.name}/ both stand for {split}")
        by_split[split] = folder
    if "train" not in by_split:
        raise UserError(f"data.root={root}: holds {named[0].name}/ but no train/; needed are {LAYOUT}")
    return {split: by_split[split] for split in SPLITS if split in by_split}


def find_images(folder: Path, passed_over: Counter[str]) -> Iterator[Path]:
    """Yield the image files below `folder`; links are followed, and no folder is entered twice.

    Args:
        passed_over: Images of kinds that Pillow does not read are counted here, by extension.
    """
    entered: set[tuple[int, int]] = set()
    pending = [folder]
    while pending:
        current = pending.pop()
        status = current.stat()
        if (status.st_dev, status.st_ino) in entered:
            continue  # a link to a folder above
        entered.add((status.st_dev, status.st_ino))
        for path in _visible(current):
            if path.is_dir():
                pending.append(path)
            elif path.suffix.lower() in EXTENSIONS:
                yield path
            elif path.suffix.lower() in _OTHER_IMAGES:
                passed_over[path.suffix.lower()] += 1


def natural_order(names: Iterable[str]) -> list[str]:
    """Sort names as people do: digits by their value, letters without regard to case ("2", "10", "a", "B").

    A minus is a sign if every name is a whole number, otherwise a hyphen.
    """
    from natsort import natsorted, ns  # slow to load, and only folder sources need it

    names = sorted(names)  # decides the order of names that differ in case only, such as "a" and "A"
    whole_numbers = all(re.fullmatch(r"-?\d+", name) for name in names)
    return natsorted(names, alg=ns.IGNORECASE | ns.SIGNED if whole_numbers else ns.IGNORECASE)


def _visible(folder: Path) -> list[Path]:
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        raise UserError(
            f"data.root: folder {folder} cannot be read ({error.strerror}); check its permissions"
        ) from error
    return [path for path in paths if not path.name.startswith(".") and path.name.lower() not in _IGNORED]


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in _visible(folder) if path.is_dir())


def _class_folders(folder: Path) -> list[Path]:
    loose = [path.name for path in _visible(folder) if path.suffix.lower() in EXTENSIONS and path.is_file()]
    folders = _subfolders(folder)
    if loose and folders:
        _log.warning("%d images lie in %s outside any class folder and are ignored: %s", len(loose), folder, loose[0])
    return folders


def _extensions() -> str:
    return "looked for " + " ".join(sorted(extension[1:] for extension in EXTENSIONS))


def _check_classes(root: Path, class_names: list[str], classes: Mapping[Split | None, list[Path]]) -> None:
    if not class_names:
        raise UserError(f"data.root={root}: no class folder found; needed are {LAYOUT} ({_extensions()})")
    if len(class_names) == 1:
        raise UserError(f"data.root={root} holds one class ({class_names[0]!r}); at least two class folders are needed")
    for split, folders in classes.items():
        if not folders:
            raise UserError(f"data.root={root}: {split}/ holds no class folder; add some or remove {split}/")
        unknown = [folder.name for folder in folders if folder.name not in class_names]
        if unknown:
            raise UserError(
                f"data.root={root}: {split}/ has classes that train/ lacks: {', '.join(unknown)}; "
                "add them to train/ or remove them"
            )
