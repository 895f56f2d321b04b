"""Training on stored activations ends where training on the images ends."""

from pathlib import Path

import lightning as L
import pytest
import torch
from torch import Tensor

from thawline.callbacks.freeze import FreezeCallback
from thawline.callbacks.guard import FreezeGuard
from thawline.callbacks.seed_each_step import SeedEachStep
from thawline.data.sources.source import ImageSource
from thawline.features.extract import Mode, Tap
from thawline.features.feature_cache import FeatureCache
from thawline.features.fill import Extraction, fill
from thawline.features.stored_dataset import StoredSplits
from thawline.features.wanted import Wanted
from thawline.freezing.bound_plan import bind
from thawline.models.backbone import build_backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.heads import LinearHead
from thawline.settings.data_settings import AugmentSettings, LoaderSettings
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier
from thawline.training.datamodule import ImageDataModule
from thawline.training.steps import Steps

EPOCHS = 2
BATCH = 8
FP32, BF16 = Mode(torch.float32, batch_size=BATCH), Mode(torch.bfloat16)


def train(
    source: ImageSource,
    model: str,
    depth: int,
    folder: Path | None,
    *,
    size: int = 32,
    mode: Mode = FP32,
    views: int = 1,
    epochs: int = EPOCHS,
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """(parameters after training, metrics); from stored activations where `folder` is given."""
    torch.manual_seed(0)
    backbone = build_backbone(model, weights="none", image_size=size)
    augment = AugmentSettings(hflip=True, min_scale=0.5) if views > 1 else AugmentSettings()
    loader = LoaderSettings(batch_size=BATCH, num_workers=0, augment=augment)
    data = ImageDataModule(source, spec=backbone.input, loader=loader, seed=0)
    bound = bind(StrategySettings("test", unfreeze_depth=depth), backbone, LinearHead(backbone.num_features, 4))
    bound.apply(0)
    per_epoch = data.num_train_batches
    steps = Steps(per_epoch, per_epoch, per_epoch * epochs, epochs, 1.0)
    classifier = TransferClassifier(
        bound,
        num_classes=4,
        optim=OptimSettings(lr=0.01, backbone_lr=1e-3),
        steps=steps,
        prefix=FrozenPrefix(backbone, dtype=mode.dtype),
    )
    if folder is not None:
        cut = backbone.num_stages - depth
        wanted = [Wanted(data.dataset("train"), views, random_views=views > 1)]
        wanted += [Wanted(data.dataset("val"), 1, random_views=False)]
        backbone.eval()
        cache = FeatureCache(folder, max_bytes=10**9)
        arrays = fill(wanted, backbone, [Tap(cut)], Extraction(cache, mode))
        data.read_from(StoredSplits(cut, {"train": arrays[0], "val": arrays[1]}))
        bound.apply(0)
    classifier.train()
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[FreezeCallback.bound_to(bound), SeedEachStep(0), FreezeGuard.bound_to(bound)],
    )  # fmt: skip
    trainer.fit(classifier, datamodule=data)
    metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
    return {name: p.detach().clone() for name, p in classifier.named_parameters()}, metrics


def largest_difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.mark.parametrize(
    ("model", "depths", "size"),
    [
        ("resnet18", (0, 1, 3), 32),
        ("tf_efficientnet_lite0", (0, 2, 5), 64),
        ("convnext_atto", (0, 1, 3), 64),
        ("vit_tiny_patch16_224", (0, 2, 11), 32),
        ("test_resnet", (1, 4, 6), 32),
    ],
)
def test_cached_and_uncached_training_end_in_the_same_weights(
    colours: ImageSource, tmp_path: Path, model: str, depths: tuple[int, ...], size: int
) -> None:
    for depth in depths:
        plain, plain_metrics = train(colours, model, depth, None, size=size)
        cached, cached_metrics = train(colours, model, depth, tmp_path, size=size)
        assert largest_difference(plain, cached) <= 1e-5, depth
        assert cached_metrics == pytest.approx(plain_metrics, abs=1e-5)


def test_random_views_that_are_stored_are_those_of_the_first_epochs(colours: ImageSource, tmp_path: Path) -> None:
    plain, _ = train(colours, "test_resnet", 1, None, views=2)
    cached, _ = train(colours, "test_resnet", 1, tmp_path, views=2)
    assert largest_difference(plain, cached) <= 1e-5
    longer, _ = train(colours, "test_resnet", 1, tmp_path, views=2, epochs=3)  # the third epoch sees the first views
    fresh, _ = train(colours, "test_resnet", 1, None, views=3, epochs=3)
    assert largest_difference(longer, fresh) > 1e-4


def test_bf16_activations_are_stored_without_loss(colours: ImageSource, tmp_path: Path) -> None:
    plain, plain_metrics = train(colours, "test_resnet", 1, None, mode=BF16)
    cached, cached_metrics = train(colours, "test_resnet", 1, tmp_path, mode=BF16)
    assert largest_difference(plain, cached) <= 1e-3
    assert cached_metrics["val/accuracy"] == pytest.approx(plain_metrics["val/accuracy"], abs=0.2)  # one of 6 images
