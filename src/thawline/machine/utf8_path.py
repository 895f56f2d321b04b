"""A way to a folder whose name is not UTF-8, for libraries that write only to paths that are."""

import os
from pathlib import Path


def utf8_path(folder: Path) -> Path:
    """`folder`, or, where its name is not UTF-8, Linux's path of an open folder; it stays open until the process ends.

    Other systems than Linux have no such names, or no such path; then it is `folder` too.
    """
    try:
        str(folder).encode()
        return folder
    except UnicodeEncodeError:
        if not os.path.isdir("/proc/self/fd"):
            return folder
    folder.mkdir(parents=True, exist_ok=True)
    return Path(f"/proc/{os.getpid()}/fd/{os.open(folder, os.O_RDONLY | os.O_DIRECTORY)}")
