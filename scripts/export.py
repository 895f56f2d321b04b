"""Write a run's model for other runtimes: python scripts/export.py. See --help."""

import sys

from thawline.commands.export import main

if __name__ == "__main__":
    sys.exit(main())
