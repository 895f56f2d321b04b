"""Tab completion of `thawline COMMAND ...`: Hydra completes `key=value`, this the command before it."""

import os
import sys

from thawline.commands.command_list import COMMANDS, shown_name
from thawline.invocation import TRAIN

COMMAND_OPTIONS = ("-sc", "--shell-completion")  # Hydra's
_WITH_CONFIG = (TRAIN, "advise")  # the commands that Hydra can complete
_LINE = "COMP_LINE"  # what stands on the command line; the shell sets it


def completing() -> bool:
    """Whether a shell asks what could come next."""
    return sys.argv[1:2] != [] and sys.argv[1] in COMMAND_OPTIONS and _LINE in os.environ


def command_to_complete() -> str | None:
    """The command whose keys Hydra is to complete; None where the rest are files, which the shell completes itself.

    The command's name is taken out of the line, because Hydra does not know it; a name that has only begun is
    completed.
    """
    program, *words = os.environ[_LINE].split(" ")
    if not words or "=" in words[0]:
        return TRAIN
    name = words[0].replace("-", "_")
    if len(words) == 1:
        print(" ".join(shown_name(command) for command in COMMANDS if command.startswith(name)))
        return TRAIN
    if name in COMMANDS:
        os.environ[_LINE] = " ".join([program, *words[1:]])
        return name if name in _WITH_CONFIG else None
    return TRAIN
