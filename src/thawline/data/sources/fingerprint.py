"""One digest over everything that decides a data source's images and labels."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16  # chosen: 128 bits, no accidental collision among any number of data sets


def fingerprint(*parts: str | bytes | int | float | NDArray[Any]) -> str:
    """32 hexadecimal digits over the parts in order, each with its type and length; the same on every machine.

    Args:
        parts: Texts, bytes, numbers, or arrays of any dtype but object (their dtype and shape count too).
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        kind, data = _encode(part)
        digest.update(f"{kind}:{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()


def _encode(part: str | bytes | int | float | NDArray[Any]) -> tuple[str, bytes]:
    if isinstance(part, np.ndarray):
        assert part.dtype != object, "an object array holds addresses, not values"
        little_endian = part.astype(part.dtype.newbyteorder("<"), copy=False)
        return f"array {little_endian.dtype.str} {part.shape}", little_endian.tobytes()
    if isinstance(part, bytes):
        return "bytes", part
    return type(part).__name__, str(part).encode("utf-8", errors="surrogateescape")
