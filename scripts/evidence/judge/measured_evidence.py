"""What the advisor sees of a task, from the training images of each seed: distance, probes, pilot; with the time."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from judge.prepared import IMAGE_SIZE, NUM_SEEDS, Prepared
from thawline.advisor.distance import Distances
from thawline.advisor.evidence import evidence_of
from thawline.advisor.look import MAX_DISTANCE_IMAGES, source_distances
from thawline.advisor.pilot import PILOT, run_pilot
from thawline.advisor.profile import GRIDS, depth_profile, pooled_taps
from thawline.data.sources.source import IntArray, Split
from thawline.features.extract import Tap
from thawline.machine.compute import Compute
from thawline.machine.precision import Precision
from thawline.models.backbone import Backbone, build_backbone

_BATCH = 64
_COMPUTE = Compute(torch.device("cpu"), Precision(torch.bfloat16, "bf16-mixed"))  # as judge/option_fits.py trains


def evidence(prepared: Prepared) -> list[dict[str, Any]]:
    """One entry per seed, as JSON holds it."""
    backbone = build_backbone(prepared.backbone, weights="embedded", image_size=IMAGE_SIZE).eval()
    return [_of_split(prepared, backbone, prepared.splits[seed]) for seed in range(NUM_SEEDS)]


def _of_split(prepared: Prepared, backbone: Backbone, split: Mapping[Split, IntArray]) -> dict[str, Any]:
    train = split["train"]
    both = np.concatenate([train, split["val"]])
    labels = prepared.labels[both].numpy()
    start = time.perf_counter()
    distances = _distances(prepared, backbone, train)
    features = {tap: prepared.stored[tap][both] for tap in pooled_taps(backbone.num_stages)}
    names = tuple(stage.name for stage in backbone.stages)
    profile = depth_profile(features, labels, train, stage_names=names, distances=distances)
    looked = time.perf_counter()
    rows = prepared.stored[Tap(PILOT.num_frozen(backbone.num_stages))][both]
    pilot = run_pilot(backbone, rows, labels, train, compute=_COMPUTE)
    found = evidence_of(profile, pilot, num_train=len(train), num_classes=prepared.num_classes)
    return {
        "evidence": asdict(found), "seconds": looked - start, "pilot_seconds": time.perf_counter() - looked,
        "probes": {str(grid): [score.accuracy for score in profile.probes[grid]] for grid in GRIDS},
        "held_out": {"last": profile.held_out.last.accuracy, "all_stages": profile.held_out.all_stages.accuracy},
        "distance_by_stage": [r.value if r else None for r in distances.stages] if distances else None,
    }  # fmt: skip


def _distances(prepared: Prepared, backbone: Backbone, train: IntArray) -> Distances | None:
    images = prepared.images[train[:: max(1, len(train) // MAX_DISTANCE_IMAGES)][:MAX_DISTANCE_IMAGES]]
    return source_distances(backbone, torch.split(images, _BATCH), dtype=torch.bfloat16)
