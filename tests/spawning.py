"""`train.py`, but the processes that load images are spawned, as on Windows and macOS."""

import multiprocessing
import sys

from thawline.commands.train import main

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    sys.exit(main())
