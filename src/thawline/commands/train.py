"""Train one run, or with -m a sweep."""

import math

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from thawline.commands.command_line import one_line_errors, run_main
from thawline.runs.conf_folder import conf_folder


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="train")
def _run(cfg: DictConfig) -> float:
    from thawline.runs.composed import Composed  # imports torch; --help and --cfg do without
    from thawline.runs.context import context_of
    from thawline.runs.run import train

    with one_line_errors():
        record = train(Composed(cfg), context_of(HydraConfig.get()))
        # What a sweep that searches looks at; of scenario=auto only the first of several processes knows it.
        return record.metrics.get("val/accuracy", math.nan)


def main() -> int:
    return run_main(_run)
