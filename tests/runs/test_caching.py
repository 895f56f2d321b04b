"""The cache from the command line: used where it saves, told why, never in the way."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from thawline.callbacks.mistakes import MistakesCallback
from thawline.data.sources.folder import FolderSource
from thawline.runs import caching, known_features

Run = Callable[..., Any]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.batch_size=8")
TINY += ("data.num_workers=0", "trainer.accelerator=cpu", "trainer.max_epochs=3")


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(out.rglob("run.json"))]


def features_in(cache: Path) -> list[Path]:
    """Stores, without what is kept of reading the images."""
    return [store for store in cache.iterdir() if not list(store.glob("first_look-*.json"))]


def test_a_run_trains_on_stored_activations_and_says_so(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, "data.augment=none")
    assert result.code == 0, result.err
    assert "Cache: the first 5 of 7 stages are computed once" in result.out
    (record,) = records(tmp_path / "out")
    assert record["cache"]["used"]
    assert (record["cache"]["cut"], record["cache"]["views"]) == (5, 1)
    assert record["freeze"]["verified"]
    # of training and validation images what training reads, and pooled the fourth stage, which unknown images show at
    assert len(features_in(tmp_path / "cache")) == 2 * 2


@pytest.mark.parametrize(("depth", "again"), [(1, True), (3, False)])
def test_of_many_images_some_pass_again_at_stages_that_are_not_stored(
    run_cli: Run, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int, again: bool
) -> None:
    for module in (caching, known_features):
        monkeypatch.setattr(module, "MOST_KNOWN", 4)  # images, of more
    asked: list[range] = []
    plain = known_features._computed

    def noted(*args: Any, frozen: range | None = None, **more: Any) -> Any:
        asked.extend([frozen] if frozen else [])
        return plain(*args, frozen=frozen, **more)

    monkeypatch.setattr(known_features, "_computed", noted)
    arguments = ("data=folder", f"data.root={image_folder}", *TINY, "data.augment=none")
    assert run_cli(*arguments, f"strategy.unfreeze_depth={depth}").code == 0
    assert asked == ([range(4, 6)] * 2 if again else [])  # of seven stages six or four are stored
    assert len(features_in(tmp_path / "cache")) == 2


@pytest.mark.parametrize("depth", ["0", "1", "3"])
def test_the_result_is_that_of_training_on_the_images(
    run_cli: Run, image_folder: Path, tmp_path: Path, depth: str
) -> None:
    data = ("data=folder", f"data.root={image_folder}", *TINY, "data.augment=none", "trainer.precision=32-true")
    for enabled in ("true", "false"):
        assert run_cli(*data, f"strategy.unfreeze_depth={depth}", f"cache.enabled={enabled}").code == 0
    cached, plain = records(tmp_path / "out")
    assert (cached["cache"]["used"], plain["cache"]["used"]) == (True, False)
    assert cached["metrics"] == pytest.approx(plain["metrics"], abs=1e-5)


@pytest.mark.parametrize(
    ("keep_decoded", "arguments", "most"),
    [
        ("auto", ("cache.enabled=false",), 1),
        ("false", ("cache.enabled=false",), 4),  # three epochs; distances from the classes
        ("auto", ("cache.views=2",), 1),
        ("false", ("cache.views=2",), 2),
        ("auto", ("data.augment=none",), 1),
    ],
)
def test_a_run_reads_every_image_once_where_it_may_keep_it(
    run_cli: Run,
    image_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    keep_decoded: str,
    arguments: tuple[str, ...],
    most: int,
) -> None:
    loads: Counter[int] = Counter()
    load = FolderSource.load

    def counted(source: FolderSource, index: int) -> Image.Image:
        loads[index] += 1
        return load(source, index)

    monkeypatch.setattr(FolderSource, "load", counted)
    monkeypatch.setattr(MistakesCallback, "worst", lambda self: [])  # their picture loads them anew, and so does
    keep = (f"data.keep_decoded={keep_decoded}", "projector=0")  # the projector
    run = run_cli("data=folder", f"data.root={image_folder}", *TINY, *keep, *arguments)
    assert run.code == 0, run.err
    assert max(loads.values()) == most


@pytest.mark.parametrize(  # the first job's prefix may be the shorter one
    ("depths", "precision"), [pytest.param("0,1,2,all", "32-true", marks=pytest.mark.slow), ("2,all,0,1", "bf16-mixed")]
)
def test_a_sweep_over_the_depth_makes_one_pass(
    run_cli: Run, image_folder: Path, tmp_path: Path, depths: str, precision: str
) -> None:
    data = ("data=folder", f"data.root={image_folder}", *TINY, "data.augment=none")
    swept = (f"strategy.unfreeze_depth={depths}", f"sweep.depths=[{depths}]")  # the launcher says the latter
    result = run_cli("-m", "hydra/launcher=basic", f"trainer.precision={precision}", *swept, *data)
    assert result.code == 0, result.err
    assert result.out.count("Cached ") == 2  # training and validation images, in the first job
    assert [r["cache"]["used"] for r in records(tmp_path / "out")] == [depth != "all" for depth in depths.split(",")]


def test_every_store_is_used_again_by_another_seed(run_cli: Run, image_folder: Path) -> None:
    pretrained = ("model.name=tf_efficientnet_lite0", "model.weights=embedded")  # random weights differ by the seed
    data = ("data=folder", f"data.root={image_folder}", *TINY, *pretrained, "data.augment=none")
    assert "Cached " in run_cli(*data).out
    assert "Cached " not in run_cli(*data, "seed=1").out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("cache.enabled=false",), "Cache: not used, cache.enabled=false."),
        (
            ("data.augment.enabled=true",),
            "Cache: not used, images look different in every epoch; store N views of each with cache.views=N",
        ),
        (("strategy.unfreeze_depth=all",), "Cache: not used, the first stage trains"),
        (("regularize=mixup", "data.augment=none"), "mixup and cutmix mix the images before the frozen stages."),
        (("cache.max_gb=0", "data.augment=none"), "GB would be needed, cache.max_gb is 0."),
    ],
)
def test_without_the_cache_the_run_says_why(
    run_cli: Run, image_folder: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, *arguments)
    assert result.code == 0, result.err
    assert says in result.out
    assert not list((tmp_path / "cache").rglob("*.safetensors"))  # of features; what reading showed may be kept


def test_a_cache_that_cannot_be_written_is_a_warning(
    run_cli: Run, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, "data.augment=none")
    assert result.code == 0, result.err
    assert "Training goes on from the images." in result.out
    assert (tmp_path / "cache").read_text() == "a file where the folder should be"


def test_a_disk_that_fills_up_is_a_warning_and_leaves_nothing(
    run_cli: Run, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, rows: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("thawline.features.feature_store.StoreWriter.append", full)
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, "data.augment=none")
    assert result.code == 0, result.err
    assert "No space left on device" in result.out
    assert features_in(tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("cache.enabled=maybe", "cache.enabled=maybe: allowed are auto, true, false"),
        ("cache.views=0", "cache.views=0: allowed are 1 to"),
        ("cache.views=few", "cache.views=few: allowed are auto, or a number from 1"),
        ("cache.max_gb=-1", "cache.max_gb=-1.0: allowed are 0 to"),
    ],
)
def test_a_wrong_value_is_named(run_cli: Run, image_folder: Path, argument: str, says: str) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", argument)
    assert result.code == 2
    assert says in result.err
