"""The command line's manners: one clear line and exit code 2 for bad input, a traceback only for our own defects."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from thawline.commands.command_list import commands_help
from thawline.commands.ending import BAD_INPUT, exit_code, print_line
from thawline.commands.error_lines import explain, one_line
from thawline.commands.path_overrides import quoted_paths
from thawline.commands.started import note_start
from thawline.errors import UserError
from thawline.invocation import typed
from thawline.runs.context import new_dir
from thawline.runs.resume import run_dir

_MAX_SLUG = 100  # characters; file systems allow 255


def run_main(main: Callable[[], None]) -> int:
    """Run a `@hydra.main` function; returns the exit code."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises to us instead of printing and exiting with 1
    note_start()
    sys.argv = quoted_paths(sys.argv)
    for resolver in (slug, run_dir, new_dir, typed, commands_help):
        makes = resolver in (run_dir, new_dir)  # a folder, once for a config
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True, use_cache=makes)

    def checked() -> None:
        refuse_unknown_options(sys.argv[1:])
        main()
        if (sweep := sys.modules.get("thawline.sweep.launch")) is not None:  # imported for a sweep only
            sweep.tell_failed()

    return exit_code(checked, explain=explain)


def refuse_unknown_options(arguments: Sequence[str]) -> None:
    """Where Hydra would print its whole usage.

    Raises:
        UserError: Hydra has no such option.
    """
    options = get_args_parser()._option_string_actions
    for argument in arguments:
        name = argument.partition("=")[0]
        start = name if name.startswith("--") else name[:2]  # after one dash several letters may follow
        if name.startswith("-") and not any(option.startswith(start) for option in options):
            raise UserError(f"{name}: no such option; write key=value, such as data.root=photos; see --help")


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Inside one job: tell bad input in one line as soon as it is met; a sweep goes on with its other jobs."""
    try:
        yield
    except Exception as error:
        sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
        if not print_line(error, explain):
            if sweeping:  # Hydra shows the traceback of the first failure only, at the end
                print(f"error: {type(error).__name__}: {one_line(error)}; see traceback.txt", file=sys.stderr)
            raise
        if sweeping:
            raise  # Hydra runs the other jobs, then raises the first error again
        from thawline.runs.unstarted import remove_unstarted  # imports torch; the job has done so

        remove_unstarted(Path(HydraConfig.get().runtime.output_dir))
        sys.exit(BAD_INPUT)


def slug(overrides: str) -> str:
    """Turn a job's overrides into a folder name: `strategy.unfreeze_depth=2` -> `unfreeze_depth=2`.

    An override that stands in the command as it is belongs to all jobs, and is left out.
    """
    varying = f",{overrides},"
    for argument in sys.argv:  # as a whole, because a path may hold commas
        varying = varying.replace(f",{argument},", ",")
    parts = (re.sub(r"^\+*([\w/@-]*[./])*(?=[\w-]+=)", "", part) for part in varying.strip(",").split(","))
    name = re.sub(r"[^\w=.+-]+", "-", "_".join(parts)).strip("-")
    return name[:_MAX_SLUG] or "run"
