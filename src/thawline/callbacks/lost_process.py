"""Tell in one line that another process of the run is gone."""

import contextlib
from collections.abc import Iterator

from torch.distributed import DistError

from thawline.errors import UserError

# How torch's backends report that the other end of a connection is gone, where the error has no type of its own.
_SIGNS = ("gloo", "nccl", "connection closed by peer", "connection reset by peer", "broken pipe", "socket")


class LostProcess(UserError):
    """Another process of the run ended, or cannot be reached any more."""


def is_loss(error: RuntimeError) -> bool:
    """Whether an error comes from the connection between processes.

    >>> is_loss(RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:3"))
    True
    >>> is_loss(RuntimeError("shapes cannot be multiplied"))
    False
    """
    text = str(error).lower()
    return isinstance(error, DistError) or any(sign in text for sign in _SIGNS)


@contextlib.contextmanager
def lost_process_explained(way_on: str) -> Iterator[None]:
    """Around what several processes do together.

    Args:
        way_on: How the user goes on.
    Raises:
        LostProcess: In place of the error of a broken connection.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_loss(error):
            raise
        raise LostProcess(f"another process of this run ended, its output says why; {way_on}") from error
