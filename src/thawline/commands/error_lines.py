"""One line for an error that the user can mend: the key, the value, what is allowed, and what was perhaps meant."""

import re
import sys

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
from thawline.commands.known_keys import needed_option, same_last_part
from thawline.commands.path_overrides import cut_at_a_space
from thawline.errors import UserError

_EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit", "optuna": "optuna"}
_NO_NUMBER = re.compile(r"Value '(.*)' (?:of type .* could not be converted to|is not a valid) (Float|Integer|bool)\b")
_GIVE = {"Float": "a number", "Integer": "a whole number", "bool": "true or false"}  # what OmegaConf names
_NO_GROUP = re.compile(r"Could not override '([^']+)'\.\s*No match in the defaults list")  # Hydra's words


def explain(error: BaseException) -> str | None:
    """One line for an error that the user can mend; None for any other error."""
    if isinstance(error, UserError):
        return one_line(_from_worker(str(error)))
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    if isinstance(error, OverrideParseException) and "=" not in error.override:
        whole = cut_at_a_space(error.override, sys.argv)
        hint = f"; a path with a space needs quotes: {whole}" if whole else folder_hint(error.override)
        return f"{error.override}: write key=value{hint}; see --help"
    if isinstance(error, ConfigCompositionException) and (no_group := _NO_GROUP.match(str(error))):
        return f"{no_group[1]}: no such group for this command; its groups: --help"
    if isinstance(error, HydraException):
        cause = error.__cause__
        if isinstance(cause, OmegaConfBaseException) and cause.full_key is not None:
            return _bad_key(cause)
        return explain(cause) if isinstance(cause, UserError) else one_line(error)
    if isinstance(error, OmegaConfBaseException):
        _, raised, message = str(error).partition("UserError raised while resolving interpolation: ")
        return one_line(message.splitlines()[0]) if raised else _bad_key(error)
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
    key, parent = str(error.full_key), error.parent_node
    if error.full_key and (wrong := _NO_NUMBER.match(message)):
        return f"{key}={wrong[1]}: give {_GIVE[wrong[2]]}{_such_as(error)}"
    if error.full_key and key not in message:
        message = f"{key}: {message}"
    if "not in struct" not in message or not OmegaConf.is_dict(parent):
        return message
    if needed := needed_option(key, sys.argv):
        return needed
    keys = [str(name) for name in parent]
    alike = same_last_part(key, parent._get_root())
    hint = f"did you mean {alike[0]}? " if alike else did_you_mean(str(error.key), keys)
    if not keys and not alike:
        section = key.rpartition(".")[0]
        return f"{key}: {section} is null here and has no keys; take an option that sets it, or remove this"
    allowed = f"allowed are {', '.join(keys)}" if keys else ""
    return f"{key}: no such key; {hint}{allowed}".rstrip()


def _such_as(error: OmegaConfBaseException) -> str:
    """The value that the key has by default, as an example of a number."""
    parent, key = error.parent_node, error.key
    default = parent.get(key) if OmegaConf.is_dict(parent) else None
    return f", such as {default:g}" if isinstance(default, (int, float)) and not isinstance(default, bool) else ""


def _from_worker(message: str) -> str:
    """The message itself, where a data-loading process wrapped it in a traceback."""
    return re.sub(r"^[\w.]+: ", "", message.strip().splitlines()[-1]) if "Original Traceback" in message else message


def one_line(message: object) -> str:
    return re.sub(r"\s*\n\s*", "; ", str(message).strip())
