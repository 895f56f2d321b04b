"""Section `cache`: what frozen stages compute, kept."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thawline.errors import UserError
from thawline.settings.checks import between

META_FILE = "meta.json"  # in the folder of every store: what it holds
LOCK = ".lock"  # ending of the file that a process locks while it makes a store
RANDOM_VIEWS = (
    "images look different in every epoch; store N views of each with cache.views=N, or data.augment.enabled=false"
)


@dataclass
class CacheSettings:
    """Where the output of frozen stages is kept, so that it is computed once."""

    enabled: Any = "auto"  # true, false, or auto: where it saves time
    dir: str = "auto"  # becomes $XDG_CACHE_HOME/thawline, or ~/.cache/thawline
    max_gb: float = 10.0  # above it the least recently used stores go first
    views: Any = "auto"  # random views of each image that are stored and cycled; auto stores none that are random

    def __post_init__(self) -> None:
        if self.enabled not in (True, False, "auto"):
            raise UserError(f"cache.enabled={self.enabled}: allowed are auto, true, false")
        if self.views != "auto" and (isinstance(self.views, bool) or not isinstance(self.views, int)):
            raise UserError(f"cache.views={self.views}: allowed are auto, or a number from 1")
        if self.views != "auto":
            between("cache.views", self.views, 1, 1_000_000)
        self.dir = resolved_dir(self.dir)
        between("cache.max_gb", self.max_gb, 0.0, 1_000_000.0)


def resolved_dir(given: str) -> str:
    """The folder of the cache; `auto` is that of the XDG base directory specification, which ignores relative paths.

    Raises:
        UserError: It lies in the home folder, and this user has none.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if given == "auto":
        given = f"{base if os.path.isabs(base) else '~/.cache'}/thawline"
    try:
        return str(Path(given).expanduser())
    except RuntimeError as error:  # HOME is not set, and the user is in no list of users
        raise UserError(f"cache.dir={given}: this user has no home folder; give one with cache.dir=DIR") from error
