"""The command line's manners: one clear line and exit code 2 for bad input, a traceback only for our own defects."""

import contextlib
import difflib
import errno
import os
import re
import sys
from collections.abc import Callable, Iterator

from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from thawline.commands.command_list import commands_help, folder_hint
from thawline.commands.started import note_start
from thawline.errors import BAD_INPUT, TOLD, JobsFailed, UserError
from thawline.invocation import typed
from thawline.runs.resume import run_dir

_JOBS_FAILED = 1  # exit code
_READER_GONE = 1  # exit code
_EXIT_CTRL_C = 130  # exit code: 128 + SIGINT, as shells report it
_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOSPC, errno.EISDIR}
_MENDABLE = (UserError, HydraException, OmegaConfBaseException, OSError)  # perhaps by the user; `explain` decides
_NEAR = 0.5  # chosen: difflib's similarity above which a name is suggested; `partial` for `partial_fine_tune` has 0.58
_PATH_KEYS = ("resume", "output_dir", "data.root")  # their values are paths, with no syntax of Hydra's in them
_EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit", "optuna": "optuna"}
_NO_GROUP = re.compile(r"Could not override '([^']+)'\.\s*No match in the defaults list")  # Hydra's words
_MAX_SLUG = 100  # characters; file systems allow 255


def run_main(main: Callable[[], None]) -> int:
    """Run a `@hydra.main` function; returns exit code 0. Bad input ends in one line on stderr and exit code 2.

    THAWLINE_DEBUG=1 shows the traceback instead.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises to us instead of printing and exiting with 1
    note_start()
    sys.argv = [quoted_path(argument) for argument in sys.argv]
    for resolver in (slug, run_dir, typed, commands_help):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
    try:
        main()
    except _MENDABLE as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            sys.exit(_READER_GONE)
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


def _reader_is_gone() -> bool:
    """Whether what stdout is piped into, `head` for one, has read enough; then the rest goes nowhere."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that Python's last flush is silent
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
                print(f"error: {type(error).__name__}: {_one_line(error)}; see traceback.txt", file=sys.stderr)
            raise
        if sweeping:
            raise  # Hydra runs the other jobs, then raises the first error again
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


def quoted_path(argument: str) -> str:
    """`resume=outputs/0_depth=2` -> `resume="outputs/0_depth=2"`: Hydra's grammar ends a bare value at the second `=`.

    The folders of a sweep have such names, and a shell completes them.
    """
    key, _, value = argument.partition("=")
    return f'{key}="{value}"' if key in _PATH_KEYS and "=" in value and value[0] not in "\"'" else argument


def slug(overrides: str) -> str:
    """Turn a job's overrides into a folder name: `strategy.unfreeze_depth=2` -> `unfreeze_depth=2`.

    An override that stands in the command as it is belongs to all jobs, and is left out.
    """
    own = (part for part in overrides.split(",") if part not in sys.argv)
    parts = (re.sub(r"^\+*([\w/@-]*[./])*(?=[\w-]+=)", "", part) for part in own)
    name = re.sub(r"[^\w=.+-]+", "-", "_".join(parts)).strip("-")
    return name[:_MAX_SLUG] or "run"


def explain(error: BaseException) -> str | None:
    """One line for an error that the user can mend; None for any other error."""
    if isinstance(error, UserError):
        return _one_line(_from_worker(str(error)))
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    if isinstance(error, OverrideParseException) and "=" not in error.override:
        return f"{error.override}: write key=value{folder_hint(error.override)}; see --help"
    if isinstance(error, ConfigCompositionException) and (found := _NO_GROUP.match(str(error))):
        return f"{found[1]}: no such group for this command; its groups: --help"
    if isinstance(error, HydraException):
        cause = error.__cause__
        if isinstance(cause, OmegaConfBaseException) and cause.full_key is not None:
            return _bad_key(cause)
        return explain(cause) if isinstance(cause, UserError) else _one_line(error)
    if isinstance(error, OmegaConfBaseException):
        _, raised, told = str(error).partition("UserError raised while resolving interpolation: ")
        return _one_line(told.splitlines()[0]) if raised else _bad_key(error)
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        return f"cannot write {error.filename}: {error.strerror}; choose another folder with output_dir=DIR"
    return None


def _missing_option(error: MissingConfigException) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    options = list(error.options or [])
    if not group or not options:
        return _one_line(error)
    if choice in _EXTRAS and group in ("hydra/launcher", "hydra/sweeper"):
        return f'{group}={choice}: comes with an extra; pip install "thawline[{_EXTRAS[choice]}]"'
    near = difflib.get_close_matches(choice, options, n=1, cutoff=_NEAR)
    hint = f"did you mean {near[0]}? " if near else ""
    more = "; any timm model: model.name=NAME model.weights=hub, none or FILE" if group == "model" else ""
    return f"{group}={choice}: no such {group.rpartition('/')[2]}; {hint}allowed are {', '.join(options)}{more}"


def _bad_key(error: OmegaConfBaseException) -> str:
    message = _one_line(str(error).splitlines()[0])
    if error.full_key and error.full_key not in message:
        message = f"{error.full_key}: {message}"
    parent = error.parent_node
    if "not in struct" not in message or not OmegaConf.is_dict(parent):
        return message
    keys = [str(key) for key in parent]
    near = difflib.get_close_matches(str(error.key), keys, n=1, cutoff=_NEAR)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{error.full_key}: no such key; {hint}allowed are {', '.join(keys)}"


def _from_worker(message: str) -> str:
    """The message itself, where a data-loading process wrapped it in a traceback."""
    return re.sub(r"^[\w.]+: ", "", message.strip().splitlines()[-1]) if "Original Traceback" in message else message


def _one_line(message: object) -> str:
    return re.sub(r"\s*\n\s*", "; ", str(message).strip())
