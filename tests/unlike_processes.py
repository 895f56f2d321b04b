"""`train.py`, but the machine of the second process computes in bf16, and that of the others does not."""

import os
import sys

import torch

from thawline.commands.train import main

if __name__ == "__main__":
    torch.cpu._is_avx512_bf16_supported = lambda: os.environ["RANK"] == "1"  # type: ignore[assignment]
    sys.exit(main())
