"""SIGTERM ends a run in order: its record says `interrupted`, its exit code is 143, its checkpoint is an epoch's."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import lightning as L


class Terminated(SystemExit):
    """Raised in the main thread where SIGTERM arrives."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)  # 143, as shells report it


@contextlib.contextmanager
def ended_by_sigterm(error: type[BaseException] = Terminated) -> Iterator[None]:
    """Inside the block SIGTERM raises `error`; outside the main thread nothing changes."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise error

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class EndBySigterm(L.Callback):
    """Keeps SIGTERM immediate while Lightning runs, and passes it on to the processes that Lightning started.

    Lightning's own handler waits for the end of the batch, and with several processes it enters a broadcast from
    inside the handler, which can wait for ever. Nothing needs to be saved here: `last.ckpt` is written at every epoch
    boundary, and only an epoch boundary can be resumed bit for bit.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._take_over(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._take_over(trainer)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._take_over(trainer)

    def _take_over(self, trainer: L.Trainer) -> None:
        if threading.current_thread() is not threading.main_thread():
            return

        def end(signum: int, frame: FrameType | None) -> None:
            launcher: Any = trainer.strategy.launcher
            if launcher is not None:
                launcher.kill(signum)
            raise Terminated

        signal.signal(signal.SIGTERM, end)
