"""What the advisor sees of a task: distance and probes from the training images of each seed, with the time it took."""

import time
from typing import Any

import torch

from judge.prepared import IMAGE_SIZE, NUM_SEEDS, Prepared
from thawline.advisor.distance import Distances
from thawline.advisor.look import MAX_DISTANCE_IMAGES, source_distances
from thawline.advisor.profile import GRIDS, DepthProfile, depth_profile, pooled_taps
from thawline.data.sources.source import IntArray
from thawline.models.backbone import Backbone, build_backbone

_BATCH = 64


def evidence(prepared: Prepared) -> list[dict[str, Any]]:
    """One entry per seed, as JSON holds it."""
    backbone = build_backbone(prepared.backbone, weights="embedded", image_size=IMAGE_SIZE).eval()
    return [_of_split(prepared, backbone, prepared.splits[seed]["train"]) for seed in range(NUM_SEEDS)]


def _of_split(prepared: Prepared, backbone: Backbone, train: IntArray) -> dict[str, Any]:
    start = time.perf_counter()
    distances = _distances(prepared, backbone, train)
    features = {tap: prepared.stored[tap][train] for tap in pooled_taps(backbone.num_stages)}
    labels = prepared.labels[train].numpy()
    names = tuple(stage.name for stage in backbone.stages)
    profile = depth_profile(features, labels, train, stage_names=names, distances=distances)
    return {**_as_json(profile), "num_train": len(train), "num_classes": prepared.num_classes,
            "seconds": time.perf_counter() - start}  # fmt: skip


def _distances(prepared: Prepared, backbone: Backbone, train: IntArray) -> Distances | None:
    images = prepared.images[train[:: max(1, len(train) // MAX_DISTANCE_IMAGES)][:MAX_DISTANCE_IMAGES]]
    return source_distances(backbone, torch.split(images, _BATCH), dtype=torch.bfloat16)


def _as_json(profile: DepthProfile) -> dict[str, Any]:
    distances = profile.distances
    return {
        "distance": distances.overall.value if distances else None,
        "distance_by_stage": [r.value if r else None for r in distances.stages] if distances else None,
        "probes": {str(grid): [score.accuracy for score in profile.probes[grid]] for grid in GRIDS},
        "all_stages": profile.all_stages.accuracy,
        "majority": profile.majority,
    }
