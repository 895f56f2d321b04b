"""How checkpoints get to the disk: whole, and only what can be read again.

Lightning writes through `$TMPDIR`. Where that is another file system, its rename is a copy, and a process that is
killed meanwhile leaves half a checkpoint (Lightning 19970, 20270).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from thawline.atomic import os_error_in, replacing
from thawline.callbacks.plain_state import refuse_unreadable

_OF_OPTIMIZER = ("optimizer_states", "lr_schedulers")


class CheckpointFiles(TorchCheckpointIO):
    """Writes checkpoints beside their targets, and refuses what could not be read again.

    Args:
        tested_only: A checkpoint that no run goes on from; it is written without the state of the optimizer.
    """

    def __init__(self, *, tested_only: Path | None = None) -> None:
        super().__init__()
        self.tested_only = tested_only

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        refuse_unreadable(checkpoint)
        target = Path(path)
        left_out = _OF_OPTIMIZER if target == self.tested_only else ()
        save_whole({key: value for key, value in checkpoint.items() if key not in left_out}, target)


def save_whole(body: Mapping[str, Any], path: Path) -> None:
    """Replace `path` by a checkpoint that holds `body`.

    Raises:
        CannotWrite: It cannot be written; what stood there before is still complete.
    """
    with replacing(path) as part:
        path.parent.mkdir(exist_ok=True)  # of its parents none: a run's folder that is gone is not to begin anew
        _write(body, part)


def _write(body: Mapping[str, Any], part: Path) -> None:
    with part.open("wb") as file:
        try:
            torch.save(body, file)
        except RuntimeError as error:  # torch's words for an error that the file raised
            if (cause := os_error_in(error)) is None:
                raise
            raise OSError(cause.errno, cause.strerror) from error
