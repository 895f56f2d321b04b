"""The config.yaml of a run, read with bounds: a few letters of YAML can stand for gigabytes."""

from pathlib import Path

import yaml

from thawline.errors import UserError, first_line

_MAX_BYTES = 128 * 1024  # chosen: a run's has 5 KB, and YAML is read slowly
_MAX_DEPTH = 64  # of mappings and lists in each other; chosen: a run's has 5


def read_yaml_text(path: Path) -> str:
    """The text of the file, which is YAML.

    Raises:
        UserError: It cannot be read, is no YAML, is too large, or refers to its own parts.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES >> 10} KiB")
        text = content.decode()
        _refuse_bombs(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not a readable config ({first_line(error)})") from error
    return text


def _refuse_bombs(text: str) -> None:
    """Raises `ValueError` before YAML that becomes large or slow is made into values."""
    depth = 0
    for event in yaml.parse(text):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        if isinstance(event, yaml.AliasEvent):  # none is ever written
            raise ValueError("it refers to its own parts (& and *)")
