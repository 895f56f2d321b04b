"""`thawline.train`: a run from a notebook or a script, without a command line."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, flag_override, open_dict
from omegaconf.errors import OmegaConfBaseException

from thawline.commands.command_line import slug
from thawline.commands.error_lines import explain
from thawline.commands.log_lines import LogFile, StdoutHandler
from thawline.commands.path_overrides import quoted_path
from thawline.errors import UserError
from thawline.report.run_record import RunRecord
from thawline.runs.conf_folder import conf_folder
from thawline.runs.context import RunContext, context_of
from thawline.runs.resume import run_dir

_EXPLAINED = (HydraException, OmegaConfBaseException, OSError)


def train(overrides: Sequence[str] = ()) -> RunRecord:
    """Train, test and record one run, as `python train.py OVERRIDES` does.

    The run's folder is made below `output_dir` (`outputs`), relative to the current folder.

    >>> record = train(["data=folder", "data.root=flowers", "model.name=test_resnet", "model.weights=none",
    ...     "model.image_size=32", "trainer.max_epochs=1", "trainer.accelerator=cpu"])  # doctest: +ELLIPSIS
    flowers: 24 images...
    >>> record.status, record.data.num_classes, sorted(record.metrics)[0]
    ('completed', 2, 'test/accuracy')

    Args:
        overrides: Such as `["scenario=small_similar", "data=folder", "data.root=DIR"]`.
    Returns:
        What run.json holds.
    Raises:
        UserError: Bad input, in one line.
    """
    if isinstance(overrides, str):
        raise UserError(f"train: {overrides!r} is one text; give a list of overrides, [{overrides!r}]")
    from thawline.runs.composed import Composed
    from thawline.runs.run import train as run  # imports torch

    try:
        with _hydra_for(list(overrides)) as (cfg, context):
            return run(Composed(cfg), context)
    except _EXPLAINED as error:
        line = explain(error)
        if line is None:
            raise
        raise UserError(line) from error


@contextlib.contextmanager
def _hydra_for(overrides: list[str]) -> Iterator[tuple[DictConfig, RunContext]]:
    """Compose the config, make the run's folder and log to it; afterwards Hydra and logging are as they were."""
    outer, config, root = GlobalHydra.instance().hydra, HydraConfig.instance(), logging.getLogger()
    before = config.cfg  # which composing sets
    handlers, level = root.handlers[:], root.level
    GlobalHydra.instance().clear()
    try:
        OmegaConf.register_new_resolver("slug", slug, replace=True)
        OmegaConf.register_new_resolver("run_dir", run_dir, replace=True, use_cache=True)
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder()), job_name="train"):
            cfg = compose("train", [quoted_path(text) for text in overrides], return_hydra_config=True)
            folder = Path(cfg.hydra.run.dir).absolute()
            with flag_override(cfg, ["readonly", "struct"], False), open_dict(cfg.hydra):
                cfg.hydra.runtime.output_dir = str(folder)
            folder.mkdir(parents=True, exist_ok=True)
            _log_to(root, folder / "train.log", formats=cfg.hydra.job_logging.formatters)
            context = context_of(cfg.hydra)
            with open_dict(cfg):
                del cfg["hydra"]
            yield cfg, context
    finally:
        for handler in root.handlers:
            if handler not in handlers:
                handler.close()
        root.handlers, root.level = handlers, level
        GlobalHydra.instance().hydra, config.cfg = outer, before


def _log_to(root: logging.Logger, path: Path, *, formats: DictConfig) -> None:
    """Plain lines on stdout and dated lines in the file, as the command line has them; the caller's handlers rest.

    Python's `dictConfig`, which Hydra takes for it, would close them.
    """
    console, file = StdoutHandler(), LogFile(path)
    console.setFormatter(logging.Formatter(formats.plain.format))
    file.setFormatter(logging.Formatter(formats.dated.format))
    root.handlers = [console, file]
    root.setLevel(logging.INFO)
