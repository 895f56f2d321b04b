"""Names of files and folders as text that every terminal, file and figure takes."""

import re

# Control characters, the two separators that end a line, and lone surrogates.
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF  # Python's surrogates for the bytes 0x80 to 0xff; PEP 383


def printable(name: object) -> str:
    """The name with bytes that are no UTF-8, new lines and other control characters written as escapes.

    A name from the file system may hold any byte but two. Python carries bytes that are no UTF-8 as lone surrogates,
    which can be neither printed nor written.

    >>> print(printable("two\\nlines"), printable("caf\\udce9"))
    two\\nlines caf\\xe9
    """
    return _NOT_TEXT.sub(_escape, str(name))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if _FIRST_BYTE <= code <= _LAST_BYTE else ascii(match[0])[1:-1]
