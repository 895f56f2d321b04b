"""What this machine has, and whether Thawline works on it: python scripts/doctor.py. See --help."""

import sys

from thawline.commands.doctor import main

if __name__ == "__main__":
    sys.exit(main())
