"""The command line's manners: one clear line and exit code 2 for bad input, a traceback only for our own defects."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from thawline.commands.command_list import commands_help
from thawline.commands.error_lines import explain, one_line
from thawline.commands.path_overrides import quoted_paths
from thawline.commands.reader_gone import READER_GONE, send_stdout_nowhere
from thawline.commands.started import note_start
from thawline.errors import BAD_INPUT, TOLD, JobsFailed, UserError
from thawline.invocation import typed
from thawline.runs.context import new_dir
from thawline.runs.resume import run_dir

_JOBS_FAILED = 1  # exit code
_EXIT_CTRL_C = 130  # exit code: 128 + SIGINT, as shells report it
_MENDABLE = (UserError, HydraException, OmegaConfBaseException, OSError)  # perhaps by the user; `explain` decides
_MAX_SLUG = 100  # characters; file systems allow 255


def run_main(main: Callable[[], None]) -> int:
    """Run a `@hydra.main` function; returns exit code 0. Bad input ends in one line on stderr and exit code 2.

    THAWLINE_DEBUG=1 shows the traceback instead.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises to us instead of printing and exiting with 1
    note_start()
    sys.argv = quoted_paths(sys.argv)
    for resolver in (slug, run_dir, new_dir, typed, commands_help):
        makes = resolver in (run_dir, new_dir)  # a folder, once for a config
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True, use_cache=makes)
    try:
        refuse_unknown_options(sys.argv[1:])
        main()
    except _MENDABLE as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            sys.exit(READER_GONE)
        if not _tell(error):
            raise
        sys.exit(BAD_INPUT)
    except JobsFailed as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(_JOBS_FAILED)
    except KeyboardInterrupt as error:
        if not getattr(error, TOLD, False):
            print("interrupted", file=sys.stderr)
        sys.exit(_EXIT_CTRL_C)
    return 0


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


def _reader_is_gone() -> bool:
    """Whether what stdout is piped into, `head` for one, has read enough; then the rest goes nowhere."""
    try:
        print(flush=True)
    except BrokenPipeError:
        send_stdout_nowhere()
        return True
    return False


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Inside one job: tell bad input in one line as soon as it is met; a sweep goes on with its other jobs."""
    try:
        yield
    except Exception as error:
        sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
        if not _tell(error):
            if sweeping:  # Hydra shows the traceback of the first failure only, at the end
                print(f"error: {type(error).__name__}: {one_line(error)}; see traceback.txt", file=sys.stderr)
            raise
        if sweeping:
            raise  # Hydra runs the other jobs, then raises the first error again
        from thawline.runs.unstarted import remove_unstarted  # imports torch; the job has done so

        remove_unstarted(Path(HydraConfig.get().runtime.output_dir))
        sys.exit(BAD_INPUT)


def _tell(error: BaseException) -> bool:
    """Print the one line for an error that the user can mend, once; False for any other error."""
    line = explain(error)
    if line is None or os.environ.get("THAWLINE_DEBUG") == "1":
        return False
    if not getattr(error, TOLD, False):
        print(f"error: {line}", file=sys.stderr)
        setattr(error, TOLD, True)
    return True


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
