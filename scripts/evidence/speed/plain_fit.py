"""One fit of the baseline in this process; its times and its accuracy as JSON: python -m speed.plain_fit --help."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import lightning as L

from speed.plain import STAGES, PlainClassifier, loaders


class Times(L.Callback):
    """When epochs end, how fast training images go by, and the best validation accuracy.

    The rate is that of `thawline.callbacks.cost`: the first step and validation are left out.
    """

    def __init__(self) -> None:
        self.epoch_ends: list[float] = []  # seconds from the start of the fit, validation included
        self.val_accuracy: list[float] = []
        self._train_s, self._images, self._steps = 0.0, 0, 0
        self._fit_start = self._batch_start = 0.0

    @property
    def images_per_s(self) -> float:
        return self._images / self._train_s if self._train_s else 0.0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._fit_start = time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._batch_start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if self._steps:
            self._train_s += now - self._batch_start
            self._images += len(batch[0])
        self._steps += 1
        self._batch_start = now

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epoch_ends.append(time.perf_counter() - self._fit_start)
        self.val_accuracy.append(float(trainer.callback_metrics["val_accuracy"]))


def main() -> None:
    """Fit as told, with the trainer's defaults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--depth", required=True, help="stages that train, or all")
    for name in ("epochs", "seed", "image-size", "num-workers"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("head-lr", "backbone-lr"):
        parser.add_argument(f"--{name}", type=float, required=True)
    given = parser.parse_args()
    L.seed_everything(given.seed, workers=True)
    num_classes = len(list((given.root / "train").iterdir()))
    depth = len(STAGES) if given.depth == "all" else int(given.depth)
    model = PlainClassifier(num_classes=num_classes, depth=depth, head_lr=given.head_lr, backbone_lr=given.backbone_lr)
    train, val = loaders(given.root, model, size=given.image_size, num_workers=given.num_workers)
    times = Times()
    trainer = L.Trainer(
        max_epochs=given.epochs,
        devices=1,
        callbacks=[times],
        enable_progress_bar=False,
        default_root_dir=given.output_dir,
    )
    start = time.perf_counter()
    trainer.fit(model, train, val)
    fit_s = time.perf_counter() - start
    measured = {
        "epoch_ends": times.epoch_ends,
        "images_per_s": times.images_per_s,
        "val_accuracy": max(times.val_accuracy),
    }
    print(json.dumps({"fit_s": fit_s, **measured}))


if __name__ == "__main__":
    main()
