"""One line for an error that the user can mend: the key, the value, what is allowed, and what was perhaps meant."""

import re

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from thawline.atomic import cannot_write_line
from thawline.commands.command_list import did_you_mean, folder_hint
from thawline.errors import UserError

_EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit", "optuna": "optuna"}
_NO_GROUP = re.compile(r"Could not override '([^']+)'\.\s*No match in the defaults list")  # Hydra's words


def explain(error: BaseException) -> str | None:
    """One line for an error that the user can mend; None for any other error."""
    if isinstance(error, UserError):
        return one_line(_from_worker(str(error)))
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
        return explain(cause) if isinstance(cause, UserError) else one_line(error)
    if isinstance(error, OmegaConfBaseException):
        _, raised, told = str(error).partition("UserError raised while resolving interpolation: ")
        return one_line(told.splitlines()[0]) if raised else _bad_key(error)
    return cannot_write_line(error) if isinstance(error, OSError) else None


def _missing_option(error: MissingConfigException) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    options = list(error.options or [])
    if not group or not options:
        return one_line(error)
    if choice in _EXTRAS and group in ("hydra/launcher", "hydra/sweeper"):
        return f'{group}={choice}: comes with an extra; pip install "thawline[{_EXTRAS[choice]}]"'
    hint = did_you_mean(choice, options)
    more = "; any timm model: model.name=NAME model.weights=hub, none or FILE" if group == "model" else ""
    return f"{group}={choice}: no such {group.rpartition('/')[2]}; {hint}allowed are {', '.join(options)}{more}"


def _bad_key(error: OmegaConfBaseException) -> str:
    message = one_line(str(error).splitlines()[0])
    if error.full_key and error.full_key not in message:
        message = f"{error.full_key}: {message}"
    parent = error.parent_node
    if "not in struct" not in message or not OmegaConf.is_dict(parent):
        return message
    keys = [str(key) for key in parent]
    if not keys:
        section = str(error.full_key).rpartition(".")[0]
        return f"{error.full_key}: {section} is null here and has no keys; take an option that sets it, or remove this"
    hint = did_you_mean(str(error.key), keys)
    return f"{error.full_key}: no such key; {hint}allowed are {', '.join(keys)}"


def _from_worker(message: str) -> str:
    """The message itself, where a data-loading process wrapped it in a traceback."""
    return re.sub(r"^[\w.]+: ", "", message.strip().splitlines()[-1]) if "Original Traceback" in message else message


def one_line(message: object) -> str:
    return re.sub(r"\s*\n\s*", "; ", str(message).strip())
