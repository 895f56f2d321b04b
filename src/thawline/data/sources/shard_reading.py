"""Reading a shard wherever an address of fsspec's leads: again where a server fails, with a limit and then one line."""

import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from thawline.data.decode import UnreadableImage
from thawline.errors import UserError, first_line
from thawline.printable import printable

_TRIES = 3  # of reading from a server; chosen
_WAIT_S = 0.5  # before the second try, doubled for the next; chosen
_SILENT_S = 30.0  # after which a web server that sends nothing counts as failed; chosen: buckets answer within seconds
_GONE, _REFUSED = (404, 410), (401, 403)  # answers of a web server
_NO_PARTS = "the server gives no parts of a file (range requests), and images are read from any place in a shard"
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


def shown(url: str) -> str:
    """The address without user, password and query, which may be a signature.

    >>> shown("https://me:secret@host/a.tar?signature=1")
    'https://host/a.tar'
    """
    return re.sub(r"(?<=://)[^/@]*@|(?<=[^/])\?(?=[^/]*=).*$", "", printable(url))


def file_system(url: str) -> tuple[Any, str]:
    """fsspec's file system and the path in it; made anew in every process, because connections cannot be shared.

    Raises:
        UserError: fsspec does not know such an address, or lacks a package for it.
    """
    import fsspec

    web, given = ("http", "https"), fsspec.config.conf
    untold = not any("timeout" in given.get(protocol, {}) for protocol in web)
    options = _patience() if untold and fsspec.utils.get_protocol(url) in web else {}
    try:
        system, path = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        raise UserError(f"data.shards={shown(url)}: takes a package ({line(error)}); install it with pip") from error
    except ValueError as error:
        message = f"data.shards={shown(url)}: {line(error)}; give a path, or an address that fsspec knows"
        raise UserError(message) from error
    return system, str(path)


def _patience() -> dict[str, Any]:
    """aiohttp's would be five minutes for an answer as a whole, also for one that is large and goes on coming."""
    try:
        from aiohttp import ClientTimeout
    except ImportError:  # fsspec says so
        return {}
    return {"timeout": ClientTimeout(total=None, sock_connect=_SILENT_S, sock_read=_SILENT_S)}


def opened(place: Place) -> "PatientFile":
    """The shard as an open file."""
    system, path = file_system(place.url)
    return PatientFile(patiently(lambda: system.open(path, "rb"), shown(place.url)), shown(place.url))


def part(place: Place, start: int, size: int) -> bytes:
    """`size` bytes from `start` on.

    Raises:
        UserError: Not readable after three tries.
        UnreadableImage: The shard ends before.
    """
    system, path = file_system(place.url)
    data = patiently(lambda: bytes(system.cat_file(path, start=start, end=start + size)), shown(place.url))
    if len(data) > size:
        raise UserError(f"{shown(place.url)}: {_NO_PARTS}; copy the shards to a disk")
    if len(data) < size:
        raise UnreadableImage(f"unreadable image in {printable(place.name)}: the shard ends before it does")
    return data


class PatientFile(io.RawIOBase):
    """A file of fsspec's that is read again where that fails.

    Args:
        file: Open, and seekable.
        name: Begins messages.
    """

    def __init__(self, file: Any, name: str) -> None:
        self._file, self._name = file, name
        if not file.seekable():
            raise UserError(f"{name}: {_NO_PARTS}; copy the shards to a disk")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def read(self, size: int = -1) -> bytes:
        start = self.tell()

        def act() -> bytes:
            self._file.seek(start)
            return bytes(self._file.read(size))

        return patiently(act, self._name)

    def readall(self) -> bytes:
        return self.read()

    def close(self) -> None:
        self._file.close()
        super().close()


def patiently(act: Callable[[], _T], name: str, *, gone: str = "the shard is gone") -> _T:
    """Try three times.

    Args:
        name: Begins messages.
        gone: What to say where there is nothing.
    Raises:
        UserError: There is nothing, or it cannot be read.
    """
    for number in range(_TRIES):
        try:
            return act()
        except UserError:
            raise
        except Exception as error:  # each of fsspec's file systems raises errors of its own
            last = _cause(error)
        _raise_if_hopeless(last, name, gone)
        if number < _TRIES - 1:
            time.sleep(_WAIT_S * 2**number)
    raise UserError(f"{name}: cannot be read after {_TRIES} tries ({line(last)}); try again later") from last


def _cause(error: Exception) -> Exception:
    """fsspec says of whatever a web server answers that there is no such file."""
    cause = error.__cause__
    return cause if isinstance(error, FileNotFoundError) and isinstance(cause, Exception) else error


def _raise_if_hopeless(error: Exception, name: str, gone: str) -> None:
    status = getattr(error, "status", None)
    if isinstance(error, FileNotFoundError) or status in _GONE:
        raise UserError(f"{name}: {gone}") from error
    if isinstance(error, PermissionError) or status in _REFUSED:
        raise UserError(
            f"{name}: access is refused ({line(error)}); fsspec takes credentials from environment variables, "
            f"docs/images.md says how"
        ) from error
    if "range requests" in str(error):
        raise UserError(f"{name}: {_NO_PARTS}; copy the shards to a disk") from error


def line(error: BaseException) -> str:
    """The first line of an error, or its kind; a web server's answer in short.

    >>> line(OSError("no such host\\nhttps://host/a.tar?signature=1")), line(TimeoutError())
    ('no such host', 'TimeoutError')
    """
    if (status := getattr(error, "status", None)) is not None:
        return f"{status} {getattr(error, 'message', '')}".strip()
    return shown(first_line(error))
