"""Read a checkpoint of plain tensors, numbers and texts; no code in it runs."""

from pathlib import Path
from typing import Any

import torch

from thawline.errors import UserError


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a run's checkpoint, with tensors on the CPU.

    Raises:
        UserError: The file is missing, damaged, or holds more than tensors, numbers and texts.
    """
    try:
        body: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        body["state_dict"], body["global_step"]
    except Exception as error:  # a damaged or hostile file can cause errors of any type
        raise UserError(f"{path}: not a readable checkpoint ({type(error).__name__})") from error
    return body
