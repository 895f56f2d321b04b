"""The user's own images: one folder per class, with or without train, val and test folders above."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from thawline.data.sources.class_checks import LAYOUT
from thawline.data.sources.folder_index import scan
from thawline.data.sources.image_files import ImageFiles
from thawline.errors import UserError
from thawline.printable import printable


class FolderSource(ImageFiles):
    """Images in class folders.

    `root` holds class folders directly, or `train/` and optionally `val/` and `test/`, each holding class folders;
    `folder_layout` reads other usual layouts too. Nested folders of a class are searched; hidden ones are not. Classes
    are in natural order: "2" before "10".

    Args:
        root: The folder.
        class_level: Which folder names the class: 1, the first below `root` or below a split's, 2, those in it.
        leave_out: Names of folders to pass over; "auto" passes over masks that lie beside images.
        settings: Those of `ImageFiles`, from `on_unreadable` on.
    Raises:
        UserError: the layout is not as described, or an image does not decode.
    """

    def __init__(
        self,
        *,
        root: str | Path | None,
        class_level: int | Literal["auto"] = "auto",
        leave_out: Sequence[str] | Literal["auto"] = "auto",
        **settings: Any,
    ) -> None:
        if class_level not in ("auto", 1, 2):
            raise UserError(f"data.class_level={class_level}: allowed are auto, 1, 2")
        if isinstance(leave_out, str) and leave_out != "auto":
            raise UserError(f"data.leave_out={leave_out}: give auto or a list, data.leave_out=[{leave_out}]")
        folder = checked_root(root)
        index = scan(
            folder,
            class_level=None if class_level == "auto" else class_level,
            leave_out=None if leave_out == "auto" else list(leave_out),
        )
        name = printable(folder.resolve().name or root)
        super().__init__(folder, index, name=name, where=f"data.root={folder}", listed=folder, **settings)


def checked_root(root: str | Path | None, *, holds: str = LAYOUT) -> Path:
    """`root` as an absolute path; raises `UserError` unless it is an existing folder. Messages say what it `holds`."""
    if root is None or not str(root).strip():
        raise UserError(f"data.root is not set: give data.root=DIR, a folder that holds {holds}")
    path = Path(root).expanduser().absolute()
    if not path.exists():
        raise UserError(f"data.root={root}: no such folder (looked for {path}); give a folder that holds {holds}")
    if not path.is_dir():
        raise UserError(f"data.root={root}: is a file; give a folder that holds {holds}")
    return path
