"""The sample, and that the pass sees what the backbone computes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from thawline.advisor.look import Look, Sample, draw_sample, look
from thawline.advisor.profile import GRIDS
from thawline.data.sources.source import ImageSource
from thawline.errors import UserError
from thawline.features.feature_cache import FeatureCache
from thawline.machine.compute import Compute
from thawline.machine.device import Device
from thawline.machine.number_formats import Precision
from thawline.models.backbone import Backbone


def test_a_sample_holds_one_image_of_each_group_and_every_class_in_proportion() -> None:
    labels = np.array([0] * 60 + [1] * 40)
    groups = np.arange(100)
    groups[1] = 0  # a copy
    pool = np.arange(100)
    everything = draw_sample(labels, groups, pool, num_images=1000, seed=0)
    assert everything.tolist() == [0, *range(2, 100)]
    drawn = draw_sample(labels, groups, pool, num_images=20, seed=0)
    assert np.bincount(labels[drawn]).tolist() == [12, 8]
    assert drawn.tolist() == sorted(drawn.tolist())
    assert drawn.tolist() == draw_sample(labels, groups, pool, num_images=20, seed=0).tolist()
    assert drawn.tolist() != draw_sample(labels, groups, pool, num_images=20, seed=1).tolist()


CPU = Compute(Device("cpu", "cpu", 1), Precision("32-true"))


def seen(colours: ImageSource, backbone: Backbone, folder: Path, *, max_gb: float = 1.0) -> Look:
    sample = Sample(colours, np.arange(24), np.arange(24, 32))
    return look(sample, backbone, CPU, cache=FeatureCache(folder, max_bytes=int(max_gb * 1e9)))


def test_every_stage_is_probed_and_measured(colours: ImageSource, tiny_backbone: Backbone, tmp_path: Path) -> None:
    look = seen(colours, tiny_backbone, tmp_path)
    profile = look.profile
    assert len(profile.stage_names) == 7
    assert [len(profile.probes[grid]) for grid in GRIDS] == [7, 7]
    assert profile.probes[1][0].accuracy == 1.0  # four colours: the first stage tells them apart
    assert profile.majority == 0.25
    assert profile.distances is not None
    assert all(reading is not None for reading in profile.distances.stages)
    assert look.images.shape == (24, 3, 32, 32)
    assert look.sample.train.tolist() == list(range(24))
    assert look.image_s > 0
    assert profile.expected.images == 24 + 8
    assert profile.expected.by == "leave-one-out"


def test_a_second_look_reads_the_cache(colours: ImageSource, tiny_backbone: Backbone, tmp_path: Path) -> None:
    first = seen(colours, tiny_backbone, tmp_path)
    stores = {path: path.stat().st_ino for path in tmp_path.iterdir()}
    second = seen(colours, tiny_backbone, tmp_path)
    assert {path: path.stat().st_ino for path in tmp_path.iterdir()} == stores
    assert second.profile.last.accuracy == first.profile.last.accuracy


def test_too_little_memory_names_model_batch_and_next_step(
    colours: ImageSource, tiny_backbone: Backbone, tmp_path: Path
) -> None:
    def full(*args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    stage = tiny_backbone.stages[-1].modules[0]
    tiny_backbone.model.get_submodule(stage).register_forward_hook(full)
    with pytest.raises(
        UserError, match=r"^test_resnet at 32 pixels in batches of 32 does not fit .* model\.image_size"
    ):
        seen(colours, tiny_backbone, tmp_path)


def test_without_room_in_the_cache_it_does_without(
    colours: ImageSource, tiny_backbone: Backbone, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    look = seen(colours, tiny_backbone, tmp_path, max_gb=0.0)
    assert look.profile.num_images == 32
    assert "Cache: not used" in caplog.text
    assert not list(tmp_path.iterdir())


def test_random_weights_have_no_source(colours: ImageSource, tiny_backbone: Backbone, tmp_path: Path) -> None:
    tiny_backbone.pretrained = False
    assert seen(colours, tiny_backbone, tmp_path).profile.distances is None
