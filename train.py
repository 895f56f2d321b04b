"""Train one run, or with -m a sweep: python train.py scenario=small_different. See --help."""

import sys

from thawline.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
