"""SIGTERM and SIGHUP stay immediate while Lightning runs."""

import signal
import threading
from types import FrameType
from typing import Any

import lightning as L

from thawline.machine.sigterm import Terminated, ending_signals


class EndBySigterm(L.Callback):
    """Ends the run at once on either, and passes the signal on to the processes that Lightning started.

    Lightning's handler waits for the end of the batch. With several processes it broadcasts inside the handler, which
    can wait for ever. Nothing needs to be saved: `last.ckpt` is written at every epoch boundary, and only from there
    a run can be resumed bit for bit.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if threading.current_thread() is not threading.main_thread():
            return

        def end(signum: int, frame: FrameType | None) -> None:
            launcher: Any = trainer.strategy.launcher
            if launcher is not None:
                launcher.kill(signum)
            raise Terminated(signum)

        for one in ending_signals():
            signal.signal(one, end)

    on_validation_start = on_test_start = on_train_start
