"""Compare runs: python scripts/compare.py outputs. See --help."""

import sys

from thawline.commands.compare import main

if __name__ == "__main__":
    sys.exit(main())
