"""Setting `logger`: where curves and final values go."""

from importlib.util import find_spec
from typing import Any

from thawline.errors import UserError

LOGGERS = ("tensorboard", "csv", "mlflow", "wandb")
_PACKAGES = {"mlflow": "mlflow", "wandb": "wandb"}  # what must be importable, and the name of the extra


def checked_loggers(value: Any) -> tuple[str, ...]:
    """`tensorboard`, or a list of several, as a tuple.

    Raises:
        UserError: A name is unknown or stands twice, there is none, or the package that one needs is not installed.
    """
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        raise UserError(f"logger={value}: allowed are {', '.join(LOGGERS)}, or several as a list, {_EXAMPLE}")
    for name in names:
        if name not in LOGGERS:
            raise UserError(f"logger={name}: allowed are {', '.join(LOGGERS)}, or several as a list, {_EXAMPLE}")
        if names.count(name) > 1:
            raise UserError(f"logger: {name} stands twice; name each once")
        if name in _PACKAGES and find_spec(name) is None:
            raise UserError(f'logger={name}: takes a package: pip install "thawline[{_PACKAGES[name]}]"')
    return tuple(names)


_EXAMPLE = "'logger=[tensorboard,csv]'"
