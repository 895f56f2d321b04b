"""What adapters ask of the other settings."""

from thawline.errors import UserError
from thawline.settings.run_settings import Settings

_LORA = "lora"  # of strategy.parameters
_BESIDE = "beside adapters (strategy.lora)"


def refuse_beside_adapters(settings: Settings) -> None:
    """Refuse what would change pretrained weights, or would have another meaning.

    Raises:
        UserError: Adapters, and a setting that they cannot go with.
    """
    strategy, regularize = settings.strategy, settings.regularize
    if (strategy.lora is None) != (strategy.parameters != _LORA):
        raise UserError(
            f"strategy.parameters={strategy.parameters}: adapters take strategy.parameters=lora and strategy.lora.rank "
            "together; use strategy=lora, which sets both"
        )
    if strategy.lora is None:
        return
    if strategy.batchnorm != "eval":
        raise UserError(
            f"strategy.batchnorm={strategy.batchnorm}: {_BESIDE} the statistics stay those of the pretrained model; "
            "set strategy.batchnorm=eval"
        )
    values = {
        "strategy.feature_stages": (strategy.feature_stages, None, "null"),
        "strategy.stack_share": (strategy.stack_share, 0.0, "0"),
        "regularize.l2_sp": (regularize.l2_sp, 0.0, "0; optim.weight_decay pulls them to the pretrained model"),
        "regularize.wise_ft": (regularize.wise_ft_shares, [1.0], "1; a lower strategy.lora.alpha takes less of them"),
    }
    for key, (value, idle, way_out) in values.items():
        if value != idle:
            raise UserError(f"{key}={value}: not possible {_BESIDE}; set it to {way_out}")
