"""Serve a model over HTTP: python scripts/serve.py RUN --port 8000. See --help."""

import sys

from thawline.commands.serve import main

if __name__ == "__main__":
    sys.exit(main())
