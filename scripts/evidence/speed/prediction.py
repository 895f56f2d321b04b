"""Prediction from files beside the pass that fills the cache: python -m speed.prediction RUN FOLDER [ROUNDS].

RUN trained a head only, so that both compute the same stages. FOLDER holds class folders. The two take turns, so that
what else runs on the machine slows both alike. One line of JSON: images per second, the ratio of each round, the load.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from speed.extraction import eval_dataset
from thawline.data.sources.folder import FolderSource
from thawline.deploy.loaded import Model, load
from thawline.deploy.prediction_pass import Wanted, predicted, with_thread_choice
from thawline.features.extract import Tap, choose_mode
from thawline.features.feature_cache import FeatureCache
from thawline.features.fill import Extraction, fill
from thawline.features.wanted import Wanted as Split
from thawline.machine.decisions import compiles_pass, pass_batch
from thawline.machine.memory import keep_freed_memory
from thawline.settings.data_settings import LoaderSettings
from thawline.training.workers import choose_num_workers

_BATCH = 64
_MAX_BYTES = 10**11


def pass_rate(model: Model, source: FolderSource, folder: Path) -> float:
    """Of the pass alone: the fused form is made before, as it is when a model is loaded."""
    backbone, kind = model.net.backbone, model.device.type
    dataset = eval_dataset(source, backbone)
    workers = choose_num_workers(LoaderSettings(), backbone.input, kind=kind, sharing=1)
    fused = model.net.prefix.fused
    compiled = compiles_pass("auto", kind, num_images=len(dataset))
    dtype, together = model.net.precision.prefix, pass_batch(kind)
    is_fused = fused is not None
    mode = choose_mode(dtype=dtype, fused=is_fused, compiled=compiled, batch_size=_BATCH, together=together)
    cache = FeatureCache(folder / f"cache-{time.perf_counter_ns()}", max_bytes=_MAX_BYTES)
    start = time.perf_counter()
    fill(
        [Split(dataset, 1, random_views=False)],
        backbone,
        [Tap(backbone.num_stages)],
        Extraction(cache, mode, model.device, fused, workers),
    )
    return len(dataset) / (time.perf_counter() - start)


def predict_rate(model: Model, paths: Sequence[str]) -> float:
    start = time.perf_counter()
    deque(predicted(model, Wanted(paths)), maxlen=0)
    return len(paths) / (time.perf_counter() - start)


def main(run: Path, root: Path, rounds: int) -> dict[str, object]:
    keep_freed_memory()
    model, source = load(run), FolderSource(root=root, verify=False)
    paths = [str(source.path(index)) for index in range(len(source.labels))]
    deque(with_thread_choice(model, predicted(model, Wanted(paths)), len(paths)), maxlen=0)  # for both; and reads files
    passes, predictions = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            passes.append(pass_rate(model, source, Path(folder)))
            predictions.append(predict_rate(model, paths))
    ratios = [ours / theirs for ours, theirs in zip(predictions, passes, strict=True)]
    return {
        "images": len(source.labels),
        "pass": statistics.median(passes),
        "predict": statistics.median(predictions),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]), int((*sys.argv, "5")[3]))))
