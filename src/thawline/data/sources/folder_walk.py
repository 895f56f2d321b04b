"""Walks through a folder of images: enters folders, passes over what is no data, and counts what it leaves out."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from thawline.data.sources.class_names import class_name
from thawline.errors import UserError
from thawline.printable import printable

_PILLOW = ".jpg .jpeg .jpe .jfif .jif .png .apng .bmp .dib .gif .tif .tiff .webp .avif .jp2 .j2k .jpx .ppm .pgm .pbm"
EXTENSIONS = frozenset(f"{_PILLOW} .pnm .pfm .tga .mpo .qoi".split())
# Kinds that a package of an extra reads: extension -> (module, extra).
EXTRA_KINDS = {
    ".heic": ("pi_heif", "heic"),
    ".heif": ("pi_heif", "heic"),
    ".dcm": ("pydicom", "dicom"),
    ".dicom": ("pydicom", "dicom"),
}
# Files that lie beside images and are none. Those of any other kind that is not read are warned of.
_SIDE_FILES = frozenset(
    [
        ".txt",
        ".csv",
        ".tsv",
        ".json",
        ".jsonl",
        ".xml",
        ".yaml",
        ".yml",
        ".md",
        ".rst",
        ".html",
        ".pdf",
        ".ini",
        ".db",
        ".log",
        ".py",
        ".ipynb",
        ".docx",
        ".xlsx",
        ".zip",
        ".tar",
        ".gz",
        ".sh",
        ".url",
        ".lnk",
    ]
)
# Made by Windows, macOS, Linux, Android and storage boxes (Synology, QNAP): thumbnails, bins of deleted files.
_SYSTEM = frozenset(
    {
        *("@eadir", "@recycle", "@recently-snapshot", "@tmp", "@__thumb", "#recycle", "#snapshot", "~snapshot"),
        *("__macosx", "network trash folder", "temporary items", "__pycache__", "lost+found", "lost.dir"),
        *("$recycle.bin", "recycler", "recycled", "system volume information", "found.000"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    }
)
_IMAGES_FOLDER = frozenset(["images", "image", "imgs", "img", "jpegimages", "jpegs", "photos", "originals", "frames"])
_MASKS_FOLDER = frozenset(
    [
        "masks",
        "mask",
        "annotations",
        "annotation",
        "segmentations",
        "segmentation",
        "segmentationclass",
        "labels",
        "gt",
        "groundtruth",
        "ground_truth",
        "ground-truth",
    ]
)
_MASK_FILE = re.compile(r"(?P<image>.+?)[ _.-](mask|seg|segmentation|gt|groundtruth)s?([ _.-]?\d+)?", re.IGNORECASE)


@dataclass
class Walk:
    """One walk through a folder.

    Attributes:
        leave_out: Names of folders to pass over; None passes over masks that lie beside images.
        other_kinds: Files left out for their extension, by extension.
        masks: Folder or file left out as masks -> the number of images in it.
    """

    leave_out: Sequence[str] | None = None
    other_kinds: Counter[str] = field(default_factory=Counter)
    masks: dict[Path, int] = field(default_factory=dict)

    def subfolders(self, folder: Path) -> list[Path]:
        """Folders in `folder` that may hold images, by name."""
        return self._kept(Path(entry.path) for entry in visible(folder) if is_folder(entry))

    def _kept(self, folders: Iterable[Path]) -> list[Path]:
        folders = sorted(folders)
        if self.leave_out is not None:
            names = {class_name(name) for name in self.leave_out}
            return [path for path in folders if class_name(path.name) not in names]
        beside_images = any(path.name.lower() in _IMAGES_FOLDER for path in folders)
        masks = [path for path in folders if beside_images and path.name.lower() in _MASKS_FOLDER]
        for path in masks:
            self.masks.setdefault(path, sum(1 for _ in Walk(leave_out=()).images(path)))
        return [path for path in folders if path not in masks]

    def loose(self, folder: Path) -> list[Path]:
        """Image files that lie directly in `folder`."""
        return [Path(entry.path) for entry in visible(folder) if is_image_name(entry.name) and not is_folder(entry)]

    def images(self, folder: Path) -> Iterator[Path]:
        """Yield the image files below `folder`; links are followed, and no folder is entered twice."""
        return map(Path, self.image_paths(folder))

    def image_paths(self, folder: Path) -> Iterator[str]:
        """The same as strings, which many files are listed with in a third of the time."""
        entered: set[tuple[int, int]] = set()
        pending = [folder]
        while pending:
            current = pending.pop()
            status = current.stat()
            if (status.st_dev, status.st_ino) in entered:
                continue  # a link to a folder above
            entered.add((status.st_dev, status.st_ino))
            folders: list[os.DirEntry[str]] = []
            files: list[os.DirEntry[str]] = []
            for entry in visible(current):
                (folders if is_folder(entry) else files).append(entry)
            yield from self._without_masks([entry for entry in files if self._is_image(entry.name)])
            pending += self._kept(Path(entry.path) for entry in folders)

    def _is_image(self, name: str) -> bool:
        if not is_image_name(name):
            self.other_kinds[_parts(name)[1].lower() or "without an extension"] += 1
            return False
        return True

    def _without_masks(self, files: list[os.DirEntry[str]]) -> Iterator[str]:
        stems = set() if self.leave_out is not None else {_parts(entry.name)[0] for entry in files}
        for entry in files:
            mask = _MASK_FILE.fullmatch(_parts(entry.name)[0]) if stems else None
            if mask and mask["image"] in stems:
                self.masks[Path(entry.path)] = 1
            else:
                yield entry.path

    def strange_kinds(self) -> Counter[str]:
        """Those of `other_kinds` that might be images."""
        return Counter({kind: count for kind, count in self.other_kinds.items() if kind not in _SIDE_FILES})


def looked_for(kinds: Iterable[str] = ()) -> str:
    """The extensions that are read, and the extras that read those of `kinds`."""
    extras = sorted({EXTRA_KINDS[kind][1] for kind in kinds if kind in EXTRA_KINDS})
    installs = "".join(f'; {extra}: pip install "thawline[{extra}]"' for extra in extras)
    return f"looked for {' '.join(sorted(extension[1:] for extension in EXTENSIONS))}{installs}"


def holds_images(folder: Path) -> bool:
    return next(Walk().images(folder), None) is not None


def is_image_name(name: str) -> bool:
    """Whether a file of this name is read as an image, as its extension says and as packages are installed."""
    suffix = _parts(name)[1].lower()
    if suffix in EXTRA_KINDS:
        return find_spec(EXTRA_KINDS[suffix][0]) is not None
    return suffix in EXTENSIONS


def _parts(name: str) -> tuple[str, str]:
    """Stem and suffix as `Path` has them, in a tenth of its time."""
    dot = name.rfind(".")
    return (name[:dot], name[dot:]) if 0 < dot < len(name) - 1 else (name, "")


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in `folder`, but for hidden files and what operating systems put there.

    Raises:
        UserError: It cannot be read.
    """
    try:
        with os.scandir(folder) as scanned:  # says what is a folder without a look at every file
            entries = list(scanned)
    except OSError as error:
        raise _unreadable(folder, error) from error
    return [entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() not in _SYSTEM]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one.

    Raises:
        UserError: It is a link that leads nowhere, or lies where one may not look.
    """
    try:
        if entry.is_symlink() and not os.path.exists(entry.path) and not is_image_name(entry.name):
            raise UserError(
                f"data.root: {printable(entry.path)} is a link to {printable(os.readlink(entry.path))}, which is not "
                "there; connect the drive, or remove the link; data.root is the folder that holds a folder per class"
            )
        return entry.is_dir()
    except OSError as error:
        raise _unreadable(Path(entry.path), error) from error


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"data.root: folder {printable(path)} cannot be read ({error.strerror}); check its permissions")
