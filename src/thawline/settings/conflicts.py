"""Settings that cannot go with each other; refused before anything is loaded."""

from thawline.errors import UserError
from thawline.settings.imbalance_conflicts import refuse_beside_imbalance
from thawline.settings.lora_conflicts import refuse_beside_adapters
from thawline.settings.run_settings import Settings
from thawline.settings.solver_conflicts import refuse_beside_solver


def refuse_conflicts(settings: Settings) -> None:
    """Tell the first conflict.

    Raises:
        UserError: There is one.
    """
    _refuse_pull_without_weights(settings)
    _refuse_beside_feature_stages(settings)
    _refuse_beside_a_stack(settings)
    refuse_beside_adapters(settings)
    refuse_beside_solver(settings)
    refuse_beside_imbalance(settings)


def _refuse_pull_without_weights(settings: Settings) -> None:
    regularize = settings.regularize
    if settings.strategy.pretrained and settings.model.weights != "none":
        return
    if regularize.l2_sp:
        given = f"regularize.l2_sp={regularize.l2_sp}"
        raise UserError(f"{given}: pulls towards pretrained weights, and there are none; set it to 0")
    if regularize.wise_ft_shares != [1.0]:
        given = f"regularize.wise_ft={regularize.wise_ft}"
        raise UserError(f"{given}: mixes with pretrained weights, and there are none; set it to 1")


def _refuse_beside_a_stack(settings: Settings) -> None:
    strategy = settings.strategy
    if not strategy.stack_share:
        return
    given = f"strategy.stack_share={strategy.stack_share:g}"
    if strategy.feature_stages is not None:
        raise UserError(
            f"{given}: averages with stages that train, and beside strategy.feature_stages none does; set it to 0"
        )
    if settings.regularize.wise_ft_shares != [1.0]:
        raise UserError(f"{given}: beside regularize.wise_ft={settings.regularize.wise_ft}; set one of them to 0 or 1")
    if settings.cache.enabled is False:
        raise UserError(f"{given}: solves on stored features, and cache.enabled=false; use cache.enabled=auto")


def _refuse_beside_feature_stages(settings: Settings) -> None:
    strategy, regularize = settings.strategy, settings.regularize
    if strategy.feature_stages is None:
        return
    for key, head_only in (("unfreeze_depth", 0), ("stages", None), ("phases", None)):
        value = getattr(strategy, key)
        if value != head_only:
            raise UserError(
                f"strategy.{key}={value}: beside strategy.feature_stages the backbone stays frozen; "
                f"set strategy.{key}={'null' if head_only is None else head_only}, or strategy.feature_stages=null"
            )
    for key in ("mixup", "cutmix"):
        if getattr(regularize, key):
            raise UserError(
                f"regularize.{key}={getattr(regularize, key)}: mixes images, and beside strategy.feature_stages the "
                f"head is trained on features; set it to 0"
            )
