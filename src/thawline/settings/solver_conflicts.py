"""What optim=lbfgs and optim=ridge ask of the other settings; the rest is refused before the backbone is loaded."""

from dataclasses import fields

from thawline.errors import UserError
from thawline.settings.cache_settings import RANDOM_VIEWS
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.regularize_settings import RegularizeSettings
from thawline.settings.run_settings import Settings

_HEAD = "thawline.models.heads.LinearHead"


def needs_stored(optim: OptimSettings) -> str:
    """The beginning of the line that says why there are no stored features."""
    return f"optim={optim.name}: fits the head on stored features, and"


def refuse_beside_solver(settings: Settings) -> None:
    """Refuse what cannot be solved, and what would have no effect.

    Raises:
        UserError: A solver, and a setting that it cannot go with.
    """
    name = settings.optim.name
    if not settings.optim.solves:
        return
    if settings.model.head["_target_"] != _HEAD:
        raise UserError(
            f"model.head._target_={settings.model.head['_target_']}: optim={name} fits linear classifiers only; "
            "use model/head=linear, or optim=adamw"
        )
    if name == "ridge" and settings.strategy.feature_stages is None:
        raise UserError("optim=ridge: solves for probes of several stages; use strategy=stacked_probe, or optim=lbfgs")
    _refuse_training_stages(settings)
    _refuse_idle(settings)
    if settings.cache.enabled is False:
        raise UserError(f"{needs_stored(settings.optim)} cache.enabled=false; use cache.enabled=auto")
    augment = settings.loader.augment
    if augment.is_random and augment.enabled is True and settings.cache.views == "auto":
        raise UserError(f"{needs_stored(settings.optim)} {RANDOM_VIEWS}")


def _refuse_training_stages(settings: Settings) -> None:
    strategy = settings.strategy
    for key, head_only in (("phases", None), ("stages", None), ("unfreeze_depth", 0)):
        value = getattr(strategy, key)
        if value != head_only:
            raise UserError(
                f"strategy.{key}={value}: optim={settings.optim.name} fits the head alone, no stage of the backbone; "
                "use strategy=feature_extraction, or optim=adamw"
            )


def _refuse_idle(settings: Settings) -> None:
    plain, given = RegularizeSettings(), settings.regularize
    values = {f"regularize.{f.name}": (getattr(given, f.name), getattr(plain, f.name)) for f in fields(plain)}
    values["trainer.accumulate_grad_batches"] = settings.trainer.accumulate_grad_batches, 1
    values["trainer.limit_train_batches"] = settings.trainer.limit_train_batches, 1.0
    values["trainer.gradient_clip_val"] = settings.trainer.gradient_clip_val or 0.0, 0.0
    values["optim.lr"] = settings.optim.lr, 0.0
    for key, (value, idle) in values.items():
        if value != idle:
            raise UserError(
                f"{key}={value}: has no effect beside optim={settings.optim.name}, which fits the head to all training "
                f"images at once; leave it at {idle:g}"
            )
