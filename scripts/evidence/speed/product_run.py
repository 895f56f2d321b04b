"""Thawline's side of a comparison: `python train.py`, and what its run.json says."""

import json
import shutil
from dataclasses import dataclass
from typing import Any

from speed.child import run
from speed.setting import Setting


@dataclass(frozen=True)
class Product:
    """The records of one call and the wall time of its process in seconds."""

    records: list[dict[str, Any]]
    process_s: float

    @property
    def fit_s(self) -> float:
        """From model and data being there to the end of the fits: the pass through the frozen stages, and training."""
        return sum(_fit_s(record) for record in self.records)

    def one_fit_s(self, *, unfreeze_depth: int | str) -> float:
        """The same, of the run of a sweep that trained at this depth."""
        (record,) = [r for r in self.records if r["strategy"]["unfreeze_depth"] == unfreeze_depth]
        return _fit_s(record)


def _fit_s(record: dict[str, Any]) -> float:
    return float(record["cache"].get("seconds", 0.0) + record["cost"]["fit_s"])


def train(setting: Setting, *arguments: str) -> Product:
    """Run train.py on the benchmark's images, the same view of each in every epoch, with nothing cached before."""
    folder = setting.fresh()
    common = [
        "data=folder", f"data.root={setting.images}", "data.augment=none",
        f"model.image_size={setting.sizes.image_size}", f"output_dir={folder / 'outputs'}",
        f"cache.dir={folder / 'cache'}",
    ]  # fmt: skip
    _, process_s = run(["train.py", *arguments, *common], env={"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")})
    records = [json.loads(path.read_text()) for path in sorted((folder / "outputs").rglob("run.json"))]
    shutil.rmtree(folder)
    assert records, arguments
    assert all(record["status"] == "completed" for record in records), arguments
    return Product(records, process_s)
