"""scenario=auto: the advisor chooses the strategy, then the run goes on with it."""

import json
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from thawline.advise import measured_advice, shown_advice
from thawline.config import resolve
from thawline.errors import UserError
from thawline.processes import is_main
from thawline.report.advice import ADVICE_FILE

SCENARIO = "auto"
_ADVISED_SECTIONS = ("strategy", "optim")  # by the advisor


def advised(cfg: DictConfig, folder: Path) -> tuple[DictConfig, dict[str, Any]]:
    """The config with what the advisor recommends, and what run.json says of it.

    advice.json and the figure lie in `folder`.

    What else the command line says stays as it is.

    Raises:
        UserError: The command line chooses what the advisor is to choose, or several processes train.
    """
    given = list(HydraConfig.get().overrides.task)
    for override in given:
        key = override.lstrip("+~").partition("=")[0]
        if key.partition(".")[0] in _ADVISED_SECTIONS:
            raise UserError(f"{override}: scenario=auto chooses it; leave it out, or choose a scenario")
    if cfg.trainer.devices != 1:
        raise UserError(
            f"trainer.devices={cfg.trainer.devices}: scenario=auto runs in one process; ask scripts/advise.py first, "
            "then train with what it recommends"
        )
    advice = measured_advice(resolve(cfg), folder)
    if is_main():
        shown_advice(advice, Console())
    chosen = advice.recommendation.best.overrides
    body = json.loads((folder / ADVICE_FILE).read_text(encoding="utf-8"))
    told = {key: body[key] for key in ("cell", "recommendation", "predicted", "sure", "commands", "reasons")}
    return compose("train", [*given, *(override for override in chosen if not _is_given(override, given))]), told


def _is_given(override: str, given: list[str]) -> bool:
    """Whether the command line sets the same key, or a part of it."""
    key = override.partition("=")[0]
    theirs = [other.lstrip("+~").partition("=")[0] for other in given]
    return any(other == key or other.startswith(f"{key}.") for other in theirs)
