"""Verify what a run froze: python scripts/verify_freeze.py outputs/small_different/RUN. See --help."""

import sys

from thawline.commands.verify_freeze import main

if __name__ == "__main__":
    sys.exit(main())
