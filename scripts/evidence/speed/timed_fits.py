"""One fit, described once and run on either side."""

import shutil
from dataclasses import dataclass, replace

from speed.child import run_module
from speed.product_run import Product, train
from speed.scaling import scaled_fit_s
from speed.setting import Setting


@dataclass(frozen=True)
class Fit:
    """Who trains, how long, at which rates; both sides are told the same."""

    strategy: str
    depth: int | str
    epochs: int
    head_lr: float
    backbone_lr: float


@dataclass(frozen=True)
class PlainFit:
    """The baseline's numbers.

    Attributes:
        fit_s, process_s: Of all epochs that were asked for, scaled where fewer were run.
        val_accuracy: The best of the epochs; None where fewer were run.
    """

    epochs_run: int
    fit_s: float
    process_s: float
    images_per_s: float
    val_accuracy: float | None


def plain_fit(setting: Setting, fit: Fit, *, seed: int) -> PlainFit:
    """Run the baseline, for at most `setting.plain_epochs` epochs."""
    epochs = min(fit.epochs, setting.plain_epochs or fit.epochs)
    folder = setting.fresh()
    arguments = {
        "root": setting.images,
        "output-dir": folder,
        "epochs": epochs,
        "seed": seed,
        "image-size": setting.sizes.image_size,
        "num-workers": setting.plain_workers,
        "depth": fit.depth,
        "head-lr": fit.head_lr,
        "backbone-lr": fit.backbone_lr,
    }
    measured, process_s = run_module(
        "plain_fit", *(part for key, value in arguments.items() for part in (f"--{key}", value))
    )
    shutil.rmtree(folder)
    fit_s = scaled_fit_s(measured["epoch_ends"], measured["fit_s"], epochs=fit.epochs)
    accuracy = measured["val_accuracy"] if epochs == fit.epochs else None
    return PlainFit(epochs, fit_s, process_s + fit_s - measured["fit_s"], measured["images_per_s"], accuracy)


def thawline_fit(setting: Setting, fit: Fit, *more: str, seed: int) -> Product:
    """Run Thawline; `more` are further overrides of its config."""
    return train(setting, *overrides(fit), f"strategy.unfreeze_depth={fit.depth}", f"seed={seed}", *more)


def thawline_sweep(setting: Setting, fit: Fit, depths: tuple[int | str, ...], *, seed: int) -> Product:
    """Run Thawline's sweep over depths: one process, one cache. A process for each job would add its start to it."""
    values = ",".join(map(str, depths))
    swept = (f"strategy.unfreeze_depth={values}", f"sweep.depths=[{values}]")
    return train(setting, "-m", "hydra/launcher=basic", *overrides(fit), *swept, f"seed={seed}")


def plain_sweep(setting: Setting, fit: Fit, depths: tuple[int | str, ...], *, seed: int) -> list[PlainFit]:
    """Run the baseline once per depth."""
    return [plain_fit(setting, replace(fit, depth=depth), seed=seed) for depth in depths]


def overrides(fit: Fit) -> list[str]:
    """The fit in the words of Thawline's config; the depth is the caller's."""
    return [
        f"strategy={fit.strategy}",
        f"trainer.max_epochs={fit.epochs}",
        f"optim.lr={fit.head_lr}",
        f"optim.backbone_lr={fit.backbone_lr}",
    ]
