"""Where a key that is missing here would be: with another option of its group, or in another section."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from thawline.errors import named
from thawline.runs.conf_folder import conf_folder

_HYDRAS = "hydra"  # its own sections and groups
_WHOLE = "# @package _global_"  # of an option whose keys are written from the top


def needed_option(key: str, arguments: Sequence[str]) -> str:
    """`data.root needs data=folder: add data=folder`; empty where no option has the key.

    Args:
        arguments: The command line; an option of the group that stands there has to go.
    """
    options = options_with(key)
    if not options:
        return ""
    group, _, first = options[0].partition("=")
    given = [argument for argument in arguments if argument.startswith(f"{group}=")]
    instead = f" in place of {given[0]}" if given else ""
    if len(options) > 1 and first != _defaults(conf_folder()).get(group):
        return f"{key} needs {named(options, between=' or ')}: add one of them{instead}"
    others = f"; these have it too: {named(options[1:])}" if len(options) > 1 else ""
    return f"{key} needs {options[0]}: {'write it' if given else f'add {options[0]}'}{instead}{others}"


def options_with(key: str) -> list[str]:
    """`data.root` -> `data=folder`, `data=eurosat`, ...: the options that bring the key, the default one first."""
    conf = conf_folder()
    defaults = _defaults(conf)
    options = []
    for file in sorted(conf.glob("*/**/*.yaml")):
        group = file.parent.relative_to(conf).as_posix()
        if not group.startswith(_HYDRAS) and _brings(file, key, package=group.replace("/", ".")):
            options.append((defaults.get(group) != file.stem, f"{group}={file.stem}"))
    return [option for _, option in sorted(options)]


def same_last_part(key: str, config: DictConfig) -> list[str]:
    """`data.fit.image_size` -> [`model.image_size`]: the keys of a config that end alike, the shortest path first."""
    last = key.rpartition(".")[2]
    sections = {name: node for name, node in OmegaConf.to_container(config).items() if name != _HYDRAS}  # type: ignore[union-attr]
    alike = [path for path in _paths(sections) if path.rpartition(".")[2] == last]
    return sorted(alike, key=lambda path: path.count("."))


def _brings(file: Path, key: str, *, package: str) -> bool:
    text = file.read_text(encoding="utf-8")
    if not text.startswith(_WHOLE):
        if not key.startswith(f"{package}."):
            return False
        key = key[len(package) + 1 :]
    return key.rpartition(".")[2] in text and key in _paths(yaml.safe_load(text))


def _paths(node: Any, before: str = "") -> Iterator[str]:
    """The full keys of nested dicts."""
    if isinstance(node, dict):
        for name, below in node.items():
            yield f"{before}{name}"
            yield from _paths(below, f"{before}{name}.")


def _defaults(conf: Path) -> dict[str, str]:
    """The options that a run has by default: group -> name."""
    entries = yaml.safe_load((conf / "train.yaml").read_text(encoding="utf-8"))["defaults"]
    return {group: name for entry in entries if isinstance(entry, dict) for group, name in entry.items()}
