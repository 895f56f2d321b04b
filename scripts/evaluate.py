"""How good a model is on labelled images: python scripts/evaluate.py RUN DIR. See --help."""

import sys

from thawline.commands.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
