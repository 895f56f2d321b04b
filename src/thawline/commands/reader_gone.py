"""What stdout is piped into, `head` for one, has read enough."""

import os
import sys


def send_stdout_nowhere() -> None:
    """From now on: so that Python's last flush is silent too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
