"""The checksum on the second line of model.json: SHA-256 of the file without that line."""

import hashlib
import re

_FIRST = "{\n"  # line of a JSON object that is written with an indent
_LINE = re.compile(rb'\{\n "checksum": "([0-9a-f]{64})",\n')  # with the first line


def with_checksum(text: str) -> str:
    """The text of a JSON object, with its checksum as the first key.

    >>> with_checksum('{\\n "a": 1\\n}\\n').splitlines()[1]
    ' "checksum": "b606a40d68ae742be63266c691e611efd8bfa4375628a5d31b8f5962a71afa47",'
    """
    assert text.startswith(_FIRST), text[:20]
    return f'{_FIRST} "checksum": "{_digest(text.encode())}",\n{text.removeprefix(_FIRST)}'


def fits_checksum(content: bytes) -> bool | None:
    """Whether a file has the bytes that its checksum was made of; None where its second line is no checksum."""
    found = _LINE.match(content)
    if found is None:
        return None
    return _digest(_FIRST.encode() + content[found.end() :]) == found[1].decode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
