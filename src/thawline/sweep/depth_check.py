"""Depths that a backbone does not have are refused before the first job of a sweep, not in each of them."""

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from thawline.errors import UserError
from thawline.freezing.plan import make_plan
from thawline.models.backbone import Backbone
from thawline.runs.composed import Composed


def refuse_impossible_depths(configs: Sequence[DictConfig], overrides: Sequence[Sequence[str]]) -> None:
    """Make each job's freeze plan; a backbone is made once, with random weights.

    Raises:
        UserError: A plan cannot be made; the line names the job.
    """
    stages: dict[tuple[str, int | None], list[str]] = {}
    for number, cfg in enumerate(configs):
        task = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
        settings = Composed(task).read().settings
        key = (settings.model.name, settings.model.image_size)
        if key not in stages:
            backbone = Backbone(key[0], weights="none", image_size=key[1])
            stages[key] = [stage.name for stage in backbone.stages]
        try:
            make_plan(settings.strategy, stage_names=stages[key], model_name=key[0])
        except UserError as error:
            raise UserError(f"job {number} ({' '.join(overrides[number])}): {error}") from error
