"""Where shards lie: patterns and addresses to files; local paths or anything of fsspec's."""

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.shard_reading import Place, file_system, patiently, shown
from thawline.errors import UserError

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")  # WebDataset's: shard-{000..015}.tar
_MARKS = ("ETag", "Content-MD5", "Digest", "Last-Modified")  # that a web server gives with a file


def places(shards: str | Sequence[str] | None) -> list[Place]:
    """The files that patterns name, in the order of their names.

    Args:
        shards: A pattern or several: paths or URLs, with `*`, `?` or `{000..015}`.
    Raises:
        UserError: Nothing is given, nothing matches, or the place cannot be reached.
    """
    patterns = [shards] if isinstance(shards, str) else list(shards or [])
    if not any(str(pattern).strip() for pattern in patterns):
        raise UserError("data.shards is not set: give data.shards='DIR/*.tar', or '*.parquet', a path or an address")
    urls: dict[str, tuple[int, str]] = {}
    for pattern in patterns:
        for one in _expanded(str(pattern)):
            urls |= _matching(one)
    folder = _common_folder(list(urls))
    return [Place(url, url[len(folder) :], *urls[url]) for url in sorted(urls)]


def _expanded(pattern: str) -> Iterator[str]:
    match = _RANGE.search(pattern)
    if match is None:
        yield pattern
        return
    first, last = match.groups()
    for number in range(int(first), int(last) + 1):
        yield from _expanded(f"{pattern[: match.start()]}{number:0{len(first)}}{pattern[match.end() :]}")


def _matching(pattern: str) -> dict[str, tuple[int, str]]:
    """URL -> size and state."""
    system, path = file_system(os.path.expanduser(pattern))
    signs = "*[" if path.startswith(("http://", "https://")) else "*?["  # there, ? begins a query
    name, looked = f"data.shards={shown(pattern)}", shown(path)

    def listed() -> dict[str, tuple[int, str]]:
        is_pattern = any(sign in path for sign in signs) and not system.exists(path)
        paths = sorted(system.glob(path)) if is_pattern else [path]
        infos = {one: system.info(one) for one in paths}
        return {
            system.unstrip_protocol(one): (int(info["size"] or 0), _state(system, one, info))
            for one, info in infos.items()
            if info["type"] == "file"
        }

    files = patiently(listed, name, gone=f"no such file (looked for {looked})")
    if not files:
        raise UserError(f"{name}: no file matches (looked for {looked}); give 'DIR/*.tar'")
    return files


def _state(system: Any, path: str, info: Mapping[str, Any]) -> str:
    """What a web server says of the state; fsspec takes the files of one to stay as they are."""
    marks = [f"{key}: {info[key]}" for key in _MARKS if key in info]
    return fingerprint(*marks) if marks else str(system.ukey(path))


def _common_folder(urls: Sequence[str]) -> str:
    """The folder above all of them, with its slash."""
    folders = [url.split("/")[:-1] for url in urls]
    same = list(itertools.takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False)))
    return "".join(f"{names[0]}/" for names in same)
