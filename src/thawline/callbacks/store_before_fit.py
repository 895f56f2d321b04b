"""Several processes store what frozen stages compute as soon as they can talk to each other, and before they train."""

from collections.abc import Callable

import lightning as L


class StoreBeforeFit(L.Callback):
    """Calls `store` before the model is wrapped. It stands after what compares the processes."""

    def __init__(self, store: Callable[[], None]) -> None:
        self.store = store

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == "fit" and trainer.world_size > 1:
            self.store()
