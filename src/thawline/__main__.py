"""`python -m thawline`."""

import sys

from thawline.commands.dispatch import main

if __name__ == "__main__":
    sys.exit(main())
