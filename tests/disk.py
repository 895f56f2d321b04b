"""Disks that become full and folders that vanish, for tests of what a run does then."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


@contextlib.contextmanager
def full_disk(max_bytes: int) -> Iterator[None]:
    """No file may grow beyond `max_bytes`: writing fails as on a full disk, with EFBIG in place of ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everywhere; in the block this process is nobody, as far as files are concerned."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


class DiskFull(L.Callback):
    """Fills the disk at the last batch of an epoch, once: after it no file may grow beyond `max_bytes`."""

    def __init__(self, epoch: int, max_bytes: int, marker: str) -> None:
        self.epoch, self.max_bytes, self.marker = epoch, max_bytes, Path(marker)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == self.epoch and not self.marker.exists():
            self.marker.touch()
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.max_bytes, hard))


class FolderGone(L.Callback):
    """Moves the run's folder away in mid-training, once."""

    def __init__(self, epoch: int, to: str, marker: str) -> None:
        self.epoch, self.to, self.marker = epoch, to, Path(marker)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == self.epoch and not self.marker.exists():
            self.marker.touch()
            Path(trainer.default_root_dir).rename(self.to)
