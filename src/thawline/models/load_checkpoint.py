"""Read a checkpoint: plain tensors and numbers, nothing that runs."""

from pathlib import Path
from typing import Any

import torch

from thawline.errors import UserError


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What a run's checkpoint holds, its tensors on the CPU.

    Raises:
        UserError: The file is missing, damaged, or holds more than tensors, numbers and texts.
    """
    try:
        body: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        body["state_dict"], body["global_step"]
    except Exception as error:  # a damaged or hostile file raises whatever it makes the reader raise
        raise UserError(f"{path}: not a readable checkpoint ({type(error).__name__})") from error
    return body
