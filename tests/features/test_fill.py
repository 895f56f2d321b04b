"""A store's key holds all that its numbers depend on; what is there is not computed again."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from described_devices import H100, LAPTOP, T4

from thawline.data.dataset import SplitDataset
from thawline.features import feature_cache as cache_module
from thawline.features import fill as fill_module
from thawline.features.extract import Mode, PrefixRunner, Tap, choose_mode
from thawline.features.feature_cache import FeatureCache, cache_key
from thawline.features.fill import Extraction, fill
from thawline.features.in_flight import ahead
from thawline.features.wanted import Wanted, stores_of
from thawline.machine import tf32
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.fused import fuse
from thawline.settings.data_settings import AugmentSettings, LoaderSettings
from thawline.training.datamodule import ImageDataModule

CPU = torch.device("cpu")
FP32 = Mode(torch.float32, batch_size=8)
Source = Any


def dataset(backbone: Backbone, source: Source, *, seed: int = 0, hflip: bool = False) -> SplitDataset:
    loader = LoaderSettings(batch_size=8, num_workers=0, augment=AugmentSettings(hflip=hflip))
    return ImageDataModule(source, spec=backbone.input, loader=loader, seed=seed).dataset("train")


def key(backbone: Backbone, images: SplitDataset, **changes: Any) -> str:
    random, views = changes.pop("random_views", False), changes.pop("num_views", 1)
    tap, how = changes.pop("tap", Tap(5)), {"mode": FP32, "device": CPU} | changes
    ((about,),) = (of_taps.values() for of_taps in stores_of([Wanted(images, views, random)], backbone, [tap], **how))
    return cache_key(about)


def nudged(backbone: Backbone, name: str) -> Backbone:
    with torch.no_grad():
        backbone.model.state_dict()[name].view(-1)[0] += 1
    return backbone


@pytest.mark.parametrize(
    "changed",
    [
        lambda b, s: key(nudged(b, "layer2.0.bn1.weight"), dataset(b, s)),
        lambda b, s: key(nudged(b, "layer1.0.bn1.num_batches_tracked"), dataset(b, s)),
        lambda b, s: key(b, dataset(b, s), tap=Tap(4)),
        lambda b, s: key(b, dataset(b, s), tap=Tap(5, grid=1)),
        lambda b, s: key(b, dataset(b, s, hflip=True)),
        lambda b, s: key(b, dataset(b, type(s)(44))),
        lambda b, s: key(b, dataset(b, s), num_views=2),
        lambda b, s: key(b, dataset(b, s), mode=Mode(torch.bfloat16)),
        lambda b, s: key(b, dataset(b, s), mode=Mode(torch.float32, "compiled", 8)),
        lambda b, s: key(b, dataset(b, s), mode=Mode(torch.float32, batch_size=16)),
        lambda b, s: key(b, dataset(b, s), device=torch.device("cuda")),
        lambda b, s: key(b, dataset(b, s), mode=Mode(torch.float16)),
        lambda b, s: key(b, dataset(b, s, seed=1, hflip=True), random_views=True),
    ],
    ids=[
        "weight",
        "buffer",
        "cut",
        "grid",
        "transform",
        "images",
        "views",
        "dtype",
        "compiled",
        "batch",
        "device",
        "fp16",
        "seed",
    ],
)
def test_each_thing_that_changes_the_numbers_changes_the_key(
    tiny_backbone: Backbone,
    colours: Source,
    monkeypatch: pytest.MonkeyPatch,
    changed: Callable[[Backbone, Source], str],
) -> None:
    """Pitfall 33."""
    monkeypatch.setattr(tf32, "described", lambda device: {"cpu": LAPTOP, "cuda": T4}[device.type])
    before = key(tiny_backbone, dataset(tiny_backbone, colours))
    assert key(tiny_backbone, dataset(tiny_backbone, colours)) == before
    assert changed(tiny_backbone, colours) != before


def test_cards_that_round_otherwise_have_stores_of_their_own(
    tiny_backbone: Backbone, colours: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = set()
    with tf32.tf32_restored():
        for card in (T4, H100):
            monkeypatch.setattr(tf32, "described", lambda device, card=card: card)
            for on in (True, False):
                tf32.set_tf32(on)
                keys.add(key(tiny_backbone, dataset(tiny_backbone, colours), device=torch.device("cuda")))
    assert len(keys) == 4


def test_a_pass_in_fp16_is_stored_in_fp16(tiny_backbone: Backbone, colours: Source, tmp_path: Path) -> None:
    tiny_backbone.eval()
    how = Extraction(FeatureCache(tmp_path, max_bytes=10**9), Mode(torch.float16, batch_size=8))
    ((half,),) = fill([Wanted(dataset(tiny_backbone, colours), 1, random_views=False)], tiny_backbone, [Tap(5)], how)
    whole = replace(how, mode=FP32)
    ((exact,),) = fill([Wanted(dataset(tiny_backbone, colours), 1, random_views=False)], tiny_backbone, [Tap(5)], whole)
    assert (half.spec.dtype, half.spec.row_bytes * 2) == ("float16", exact.spec.row_bytes)
    a, b = (array.rows(range(len(array))).float() for array in (half, exact))
    assert float((a - b).norm() / b.norm()) < 0.005  # unit roundoff 2^-11; chosen


def test_versions_and_the_order_of_the_images_are_in_the_key(
    tiny_backbone: Backbone, colours: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = dataset(tiny_backbone, colours)
    before = key(tiny_backbone, images)
    images.indices = np.flip(images.indices)
    assert key(tiny_backbone, images) != before
    images.indices = np.flip(images.indices)
    monkeypatch.setattr(cache_module, "CODE_VERSION", 0)
    assert key(tiny_backbone, images) != before
    monkeypatch.undo()
    monkeypatch.setattr("thawline.features.wanted.version", lambda name: "0.0")
    assert key(tiny_backbone, images) != before


def test_what_cannot_change_the_numbers_is_not_in_the_key(tiny_backbone: Backbone, colours: Source) -> None:
    before = key(tiny_backbone, dataset(tiny_backbone, colours))
    assert key(tiny_backbone, dataset(tiny_backbone, colours, seed=1)) == before  # no random views
    assert key(nudged(tiny_backbone, "layer4.0.bn1.weight"), dataset(tiny_backbone, colours)) == before  # after the cut


def count_passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    passes: list[tuple[int, ...]] = []
    original = PrefixRunner.__init__

    def counted(self: PrefixRunner, backbone: Backbone, taps: Any, mode: Mode, **fused: Any) -> None:
        passes.append(tuple(tap.cut for tap in taps))
        original(self, backbone, taps, mode, **fused)

    monkeypatch.setattr(PrefixRunner, "__init__", counted)
    return passes


def test_one_pass_serves_every_cut_and_a_second_call_none(
    tiny_backbone: Backbone, colours: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = count_passes(monkeypatch)
    tiny_backbone.eval()
    wanted = [Wanted(dataset(tiny_backbone, colours), 1, random_views=False)]
    cache = FeatureCache(tmp_path, max_bytes=10**9)
    ((first, last),) = fill(wanted, tiny_backbone, [Tap(4), Tap(7)], Extraction(cache, FP32))
    assert passes == [(4, 7)]
    ((again,),) = fill(wanted, tiny_backbone, [Tap(4)], Extraction(cache, FP32))
    assert passes == [(4, 7)]
    fill(wanted, tiny_backbone, [Tap(4), Tap(5), Tap(7)], Extraction(cache, FP32))
    assert passes == [(4, 7), (5,)]
    images = torch.stack([wanted[0].dataset[0, i][0] for i in range(len(wanted[0].dataset))])
    with torch.no_grad():
        normal = tiny_backbone.normalize(images)
        for array, cut in ((first, 4), (again, 4), (last, 7)):
            rows = array.rows(range(len(images)))
            torch.testing.assert_close(rows, tiny_backbone.prefix(normal, cut), atol=1e-5, rtol=1e-5)


def test_pooled_features_of_every_stage_come_from_the_same_pass(
    tiny_backbone: Backbone, colours: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = count_passes(monkeypatch)
    tiny_backbone.eval()
    images = dataset(tiny_backbone, colours)
    pooled = [Tap(cut, grid=1) for cut in range(1, tiny_backbone.num_stages + 1)]
    cache = FeatureCache(tmp_path, max_bytes=10**9)
    wanted, asked, fingerprint = [Wanted(images, 1, random_views=False)], [], SplitDataset.fingerprint
    monkeypatch.setattr(SplitDataset, "fingerprint", lambda self: asked.append(self) or fingerprint(self))
    hashed: list[int] = []
    monkeypatch.setattr("thawline.features.wanted.checksum", lambda tensors: hashed.append(len(tensors)) or "sha")
    ((*features, boundary),) = fill(wanted, tiny_backbone, [*pooled, Tap(5)], Extraction(cache, FP32))
    assert len(passes) == 1
    assert len(hashed) == tiny_backbone.num_stages  # once for each cut, though cut 5 has two stores
    assert len(asked) == 1  # not once for every tap: it may take as long as reading all images
    with torch.no_grad():
        normal = tiny_backbone.normalize(torch.stack([images[0, i][0] for i in range(len(images))]))
        for array, stage, cut in zip(features, tiny_backbone.stages, range(1, 8), strict=True):
            assert array.spec.row == stage.out_shape[:1]
            expected = tiny_backbone.prefix(normal, cut)
            expected = expected.mean((2, 3)) if expected.ndim == 4 else expected
            torch.testing.assert_close(array.rows(range(len(images))), expected, atol=1e-5, rtol=1e-5)
    assert boundary.spec.row == tiny_backbone.stages[4].out_shape


def test_bf16_uses_the_fused_form_and_pools_in_fp32(tiny_backbone: Backbone) -> None:
    tiny_backbone.eval()
    fused = fuse(tiny_backbone, 7)
    assert fused is not None
    runner = PrefixRunner(tiny_backbone, [Tap(5), Tap(5, grid=1)], Mode(torch.bfloat16, "fused"), fused=fused)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    activations, pooled = runner(images)
    assert torch.equal(activations, fused.between(fused.normalize(images), 0, 5))
    assert torch.equal(pooled, activations.float().mean((2, 3)))


@pytest.mark.parametrize(
    ("dtype", "fused", "compiled", "expected"),
    [
        (torch.float32, False, True, Mode(torch.float32, "eager", 32)),  # what training computes, whatever is faster
        (torch.bfloat16, True, True, Mode(torch.bfloat16, "fused")),
        (torch.bfloat16, False, False, Mode(torch.bfloat16, "eager")),
        (torch.float16, False, False, Mode(torch.float16, "eager")),
        (torch.bfloat16, False, True, Mode(torch.bfloat16, "compiled")),
    ],
)
def test_the_mode_is_the_fastest_that_computes_as_in_training(
    dtype: torch.dtype, fused: bool, compiled: bool, expected: Mode
) -> None:
    assert choose_mode(dtype=dtype, fused=fused, compiled=compiled, batch_size=32) == expected


def test_a_pass_that_fails_leaves_nothing(tiny_backbone: Backbone, colours: Source, tmp_path: Path) -> None:
    class Broken(type(colours)):  # type: ignore[misc]
        def load(self, index: int) -> Any:
            if index == 17:
                raise OSError("unreadable")
            return super().load(index)

    images = dataset(tiny_backbone, Broken())
    images.indices = np.arange(40)
    tiny_backbone.eval()
    cache = FeatureCache(tmp_path, max_bytes=10**9)
    with pytest.raises(OSError, match="unreadable"):
        fill([Wanted(images, 1, random_views=False)], tiny_backbone, [Tap(7)], Extraction(cache, FP32))
    assert list(tmp_path.iterdir()) == []


def test_two_runs_that_want_the_same_at_once_compute_it_once(
    tiny_backbone: Backbone, colours: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    caplog.set_level(logging.INFO)
    passes = count_passes(monkeypatch)
    tiny_backbone.eval()
    both_came = threading.Barrier(2, timeout=10)
    stored = fill_module._stored

    def together(cache: FeatureCache, keys: Any) -> Any:
        outputs = stored(cache, keys)
        if not both_came.broken and len(waited) < 2:
            waited.append(1)
            both_came.wait()  # each has seen that nothing is there
        return outputs

    waited: list[int] = []
    monkeypatch.setattr(fill_module, "_stored", together)
    wanted = [Wanted(dataset(tiny_backbone, colours), 1, random_views=False)]

    def run(_: int) -> Any:
        cache = FeatureCache(tmp_path, max_bytes=10**9)
        return fill(wanted, tiny_backbone, [Tap(4), Tap(7)], Extraction(cache, FP32))

    with ThreadPoolExecutor(2) as pool:
        (first,), (second,) = pool.map(run, range(2))
    assert len(passes) == 1
    assert [array.folder for array in first] == [array.folder for array in second]
    assert "waiting for it" in caplog.text
    assert not list(tmp_path.glob("*.lock"))


def test_a_smaller_last_batch_is_filled_up_for_compiled_code(
    tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def spying(run: Callable[[torch.Tensor], list[torch.Tensor]], **_: Any) -> Callable[[torch.Tensor], Any]:
        def compiled(images: torch.Tensor) -> list[torch.Tensor]:
            sizes.append(len(images))
            return run(images)

        return compiled

    monkeypatch.setattr("thawline.models.compiled._through_inductor", spying)
    tiny_backbone.eval()
    runner = PrefixRunner(tiny_backbone, [Tap(7)], Mode(torch.float32, "compiled", 8))
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    whole = runner(images)[0]
    rest = runner(images[:3])[0]
    assert sizes == [8, 8]
    torch.testing.assert_close(rest, whole[:3])


def test_lite0_holds_the_shape_that_is_asked_for() -> None:
    backbone = build_backbone("tf_efficientnet_lite0", weights="none", image_size=64).eval()
    for cut, activations in zip(
        (1, 7, 9),
        PrefixRunner(backbone, [Tap(1), Tap(7), Tap(9)], FP32)(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)),
        strict=True,
    ):
        assert tuple(activations.shape[1:]) == backbone.stages[cut - 1].out_shape


def test_items_made_ahead_come_in_order_and_errors_come_through() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise OSError("the sixth")

    made = ahead(items())
    assert [next(made) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="the sixth"):
        next(made)
    assert list(ahead([])) == []
