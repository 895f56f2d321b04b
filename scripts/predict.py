"""Predict images with the model of a run: python scripts/predict.py RUN IMAGES... See --help."""

import sys

from thawline.commands.predict import main

if __name__ == "__main__":
    sys.exit(main())
