"""Write a file so that a reader sees the old one or the new one, never half of one."""

import os
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace `path` by a file that holds `content`; a string is written as UTF-8.

    Lone surrogates, which stand for bytes of a file's name that are no UTF-8, become escapes.

    Raises:
        OSError: It cannot be written; `filename` is `path`, and nothing is left behind.
    """
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        error.filename = str(path)
        raise
