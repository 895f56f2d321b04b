"""Pooled features of several stages: what the head reads from images is what a store of the same taps holds."""

import pytest
import torch

from thawline.errors import UserError
from thawline.features.extract import Mode, PrefixRunner, Tap
from thawline.features.readout import Readout, make_readout
from thawline.models.backbone import Backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.fused import fuse
from thawline.settings.strategy_settings import StrategySettings

IMAGES = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def settings(stages: object, grid: object = 2) -> StrategySettings:
    return StrategySettings("test", unfreeze_depth=0, feature_stages=stages, feature_grid=grid)


def test_features_of_the_stages_stand_side_by_side(tiny_backbone: Backbone) -> None:
    backbone = tiny_backbone.eval()
    readout = Readout.of(backbone, stages=(4, 6), grids=(2,))
    read = readout(FrozenPrefix(backbone), IMAGES)
    with torch.no_grad():
        x = backbone.normalize(IMAGES)
        fifth, last = backbone.prefix(x, 5), backbone(x)
    expected = torch.cat([backbone.pool(fifth, grid=2), last], 1)
    torch.testing.assert_close(read, expected)
    assert read.shape[1] == readout.num_features
    assert not read.is_inference()  # a head can train on it


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_from_images_the_head_reads_what_a_store_holds(tiny_backbone: Backbone, dtype: torch.dtype) -> None:
    backbone = tiny_backbone.eval()
    readout = Readout.of(backbone, stages=(0, 3, 6), grids=(1, 2))
    fused = fuse(backbone, 7) if dtype == torch.bfloat16 else None
    mode = Mode(dtype, "eager" if fused is None else "fused", 3)
    stored = torch.cat(PrefixRunner(backbone, readout.taps, mode, fused=fused)(IMAGES), 1)
    assert torch.equal(readout(FrozenPrefix(backbone, dtype=dtype, fused=fused), IMAGES), stored)


def test_stages_go_by_number_and_name_from_the_images_up(tiny_backbone: Backbone) -> None:
    assert make_readout(settings(None), tiny_backbone) is None
    assert make_readout(settings("all"), tiny_backbone) == Readout.of(tiny_backbone, stages=range(7), grids=[2])
    made = make_readout(settings([-1, "layer1", 0], grid=3), tiny_backbone)
    assert made is not None
    assert made.stages == (0, 3, 6)
    assert made.taps == (Tap(1, 3), Tap(4, 3), Tap(7, 3))


def test_at_several_grids_the_last_stage_is_read_once(tiny_backbone: Backbone) -> None:
    readout = make_readout(settings([3, -1], grid=[2, 1]), tiny_backbone)
    assert readout is not None
    assert readout.taps == (Tap(4, 1), Tap(4, 2), Tap(7, 1))
    features = torch.arange(readout.num_features).float()[None]
    parts = readout.split(features)
    assert list(parts) == list(readout.taps)
    for tap, part in parts.items():
        ((start, stop),) = readout.columns([tap])
        assert torch.equal(part, features[:, start:stop])
    assert readout.columns([Tap(4, 1), Tap(7, 1)])[1][1] == readout.num_features


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        ([], "name one stage at least"),
        (["head", -1], "strategy.feature_stages=head: test_resnet has no such stage; allowed are all, conv1.0"),
        ([99], "strategy.feature_stages=99: test_resnet has no such stage; allowed are all, conv1.0"),
        (2, r"strategy.feature_stages=2: not a list; write for instance \[-1, -2\]"),
    ],
)
def test_what_is_no_stage_is_refused(tiny_backbone: Backbone, stages: object, says: str) -> None:
    with pytest.raises(UserError, match=says):
        make_readout(settings(stages), tiny_backbone)
