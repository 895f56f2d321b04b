"""Look at your images once; say where the freeze line belongs."""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from thawline.commands.command_line import one_line_errors, run_main
from thawline.runs.conf_folder import conf_folder


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="advise")
def _run(cfg: DictConfig) -> None:
    from thawline.runs.advice import advise  # imports torch; --help and --cfg do without
    from thawline.runs.composed import Composed
    from thawline.runs.context import context_of

    with one_line_errors():
        advise(Composed(cfg).read_look(), context_of(HydraConfig.get()))


def main() -> int:
    return run_main(_run)
