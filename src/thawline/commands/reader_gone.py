"""What stdout is piped into, `head` for one, has read enough."""

import os
import sys

READER_GONE = 1  # exit code


def say(text: str) -> None:
    """Print at once; a reader that has read enough does not stop the command."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        send_stdout_nowhere()


def send_stdout_nowhere() -> None:
    """From now on: so that Python's last flush is silent too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
