"""List, or clear, the stored activations of frozen stages: python scripts/cache.py. See --help."""

import sys

from thawline.commands.cache import main

if __name__ == "__main__":
    sys.exit(main())
