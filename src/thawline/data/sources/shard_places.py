"""Where shards lie: patterns and addresses to files, and reading a part of one; local paths or anything of fsspec's."""

import itertools
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from thawline.data.decode import UnreadableImage
from thawline.errors import UserError, first_line
from thawline.printable import printable

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")  # WebDataset's: shard-{000..015}.tar
_TRIES = 3  # of reading from a bucket; chosen
_WAIT = 0.5  # seconds before the second try, doubled for the next; chosen
_T = TypeVar("_T")


@dataclass(frozen=True)
class Place:
    """One shard.

    Attributes:
        url: As fsspec takes it.
        name: Its path below the folder that holds all shards.
        size: In bytes.
        state: Changes when the shard does.
    """

    url: str
    name: str
    size: int
    state: str


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
    system, path = _system(pattern)
    try:
        is_pattern = any(sign in path for sign in "*?[") and not system.exists(path)
        paths = sorted(system.glob(path)) if is_pattern else [path]
        infos = {one: system.info(one) for one in paths}
        files = {one: info for one, info in infos.items() if info["type"] == "file"}
        if not files:
            looked = printable(path)
            raise UserError(f"data.shards={pattern}: no file matches (looked for {looked}); give 'DIR/*.tar'")
        return {system.unstrip_protocol(one): (int(info["size"] or 0), system.ukey(one)) for one, info in files.items()}
    except FileNotFoundError as error:
        raise UserError(f"data.shards={pattern}: no such file (looked for {printable(path)})") from error
    except UserError:
        raise
    except Exception as error:  # each of fsspec's file systems raises errors of its own
        raise UserError(f"data.shards={pattern}: cannot be reached ({first_line(error)}); try again later") from error


def _system(url: str) -> tuple[Any, str]:
    """fsspec's file system and the path in it; made anew in every process, because connections cannot be shared."""
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(os.path.expanduser(url))
    except ImportError as error:
        raise UserError(f"data.shards={url}: takes a package ({first_line(error)}); install it with pip") from error
    except ValueError as error:
        raise UserError(
            f"data.shards={url}: {first_line(error)}; give a path, or an address that fsspec knows"
        ) from error
    return system, str(path)


def _common_folder(urls: Sequence[str]) -> str:
    """The folder above all of them, with its slash."""
    folders = [url.split("/")[:-1] for url in urls]
    same = list(itertools.takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False)))
    return "".join(f"{names[0]}/" for names in same)


def opened(place: Place) -> Any:
    """The shard as an open file."""
    system, path = _system(place.url)
    return patiently(lambda: system.open(path, "rb"), place)


def part(place: Place, start: int, size: int) -> bytes:
    """`size` bytes from `start` on.

    Raises:
        UnreadableImage: Not readable after three tries, or the shard ends before.
    """
    system, path = _system(place.url)
    data = patiently(lambda: bytes(system.cat_file(path, start=start, end=start + size)), place)
    if len(data) != size:
        raise UnreadableImage(f"unreadable image in {printable(place.name)}: the shard ends before it does")
    return data


def patiently(act: Callable[[], _T], place: Place) -> _T:
    """Try three times."""
    for number in range(_TRIES):
        try:
            return act()
        except FileNotFoundError as error:
            raise UnreadableImage(f"{printable(place.url)}: the shard is gone") from error
        except Exception as error:  # each of fsspec's file systems raises errors of its own
            last = error
            if number < _TRIES - 1:
                time.sleep(_WAIT * 2**number)
    raise UnreadableImage(f"{printable(place.url)}: cannot be read after {_TRIES} tries ({first_line(last)})") from last
