"""Look at your images once; say where the freeze line belongs: python scripts/advise.py data=folder data.root=DIR."""

import sys

from thawline.commands.advise import main

if __name__ == "__main__":
    sys.exit(main())
