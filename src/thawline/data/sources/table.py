"""The user's own images, listed in a table with their labels: CSV, JSON lines or Parquet."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thawline.data.sources.folder import checked_root
from thawline.data.sources.image_files import ImageFiles
from thawline.data.sources.table_index import index_of
from thawline.data.sources.table_rows import COLUMNS, read_rows
from thawline.errors import UserError
from thawline.printable import printable

_log = logging.getLogger(__name__)


class TableSource(ImageFiles):
    """Images that a table lists in the columns `path` and `label`, optionally `split`, `group` and `weight`.

    Classes are in natural order: "2" before "10". Images of one group never land in different splits.

    Args:
        file: The table.
        root: Folder that the paths are relative to; None takes the table's.
        columns: Column -> its name in the table, where that differs.
        settings: Those of `ImageFiles`, from `on_unreadable` on.
    Raises:
        UserError: The table cannot be read, a row cannot be used, or an image does not decode.
    """

    def __init__(
        self,
        *,
        file: str | Path | None,
        root: str | Path | None = None,
        columns: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        path = _checked_file(file)
        folder = path.parent if root is None else checked_root(root)
        unknown = [name for name in columns or {} if name not in COLUMNS]
        if unknown:
            raise UserError(f"data.columns.{unknown[0]}: no such column; allowed are {', '.join(COLUMNS)}")
        names = {**{column: column for column in COLUMNS}, **(columns or {})}
        where = f"data.file={printable(path)}"
        index = index_of(
            read_rows(path, names),
            where=where,
            root=folder,
            missing_is_error=settings.get("on_unreadable", "error") == "error",
        )
        as_it_is = folder == path.parent and all(column == name for column, name in names.items())
        listed = path if as_it_is else None  # an inspection reads tables with the usual columns, beside their images
        super().__init__(folder, index, name=printable(path.stem), where=where, listed=listed, **settings)
        if (weights := self.weights) is not None:
            line = "Training counts an image as often as its %s says (%g to %g); scores count each once."
            _log.info(line, printable(names["weight"]), weights.min(), weights.max())


def _checked_file(file: str | Path | None) -> Path:
    if file is None or not str(file).strip():
        raise UserError("data.file is not set: give data.file=FILE, a table with the columns path and label")
    path = Path(file).expanduser().absolute()
    if not path.is_file():
        raise UserError(f"data.file={file}: no such file (looked for {printable(path)})")
    return path
