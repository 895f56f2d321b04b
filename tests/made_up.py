"""Run records made up for tests of the comparison."""

import json
from pathlib import Path
from typing import Any

from thawline.report.run_record import RunRecord


def write_run(folder: Path, *, depth: int | str, seed: int, accuracy: float, fit_s: float = 10.0, **more: Any) -> Path:
    """A completed run of a depth sweep; `more` replaces sections of its run.json."""
    record = RunRecord(
        run_id=folder.name,
        scenario="small_different",
        seed=seed,
        status="completed",
        data={"name": "solar_cells", "fingerprint": "abc", "num_classes": 2},
        model={"name": "lite0", "weights": "embedded", "num_stages": 9},
        strategy={"name": "partial_fine_tune", "unfreeze_depth": depth},
        params={"trainable": 100, "total": 1000},
        metrics={"test/accuracy": accuracy, "test/loss": 1 - accuracy, "val/accuracy": accuracy},
        curves={"val/accuracy": [[1, 0.5], [2, accuracy]], "train/loss": [[1, 1.0], [2, None]]},
        classes={"names": ["good", "<bad>"], "confusion": [[8, 2], [1, 9]]},
        cost={"wall_s": fit_s + 5, "fit_s": fit_s, "train_flops": 1e12, "peak_memory_bytes": 2e9},
        freeze={"verified": True, "checks": 3, "frozen_stages": 7},
        settings={"strategy.unfreeze_depth": depth, "strategy.name": "partial_fine_tune", "optim.lr": 0.001},
    )
    folder.mkdir(parents=True)
    path = record.save(folder)
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))
    return folder


def depth_sweep(root: Path) -> Path:
    """Depths 0, 2 and all over three seeds: 0 is cheap and bad, 2 the best, all is dear and in between."""
    for depth, level, fit_s in ((0, 0.70, 5.0), (2, 0.80, 10.0), ("all", 0.75, 40.0)):
        for seed in range(3):
            write_run(root / f"{depth}_{seed}", depth=depth, seed=seed, accuracy=level + 0.01 * seed, fit_s=fit_s)
    return root
