"""One of the two processes of the check `two_processes`; torchrun starts it."""

import sys
from pathlib import Path

from check_processes import train_as_rank
from peer import Job
from peer_checks import load_peer, quiet

if __name__ == "__main__":
    name, setting, folder = sys.argv[1:]
    quiet()
    train_as_rank(load_peer(name), Job(folder=Path(folder), setting=setting))
