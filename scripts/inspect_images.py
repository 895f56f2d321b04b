"""What is wrong with these images and labels: python scripts/inspect_images.py DIR. See --help."""

import sys

from thawline.commands.inspect_images import main

if __name__ == "__main__":
    sys.exit(main())
