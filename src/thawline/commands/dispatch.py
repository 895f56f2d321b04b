"""`thawline [COMMAND] ...`: the first word chooses the command; without one it is `train`. Alone it lists commands."""

import importlib
import sys

from thawline import __version__
from thawline.commands.command_list import COMMANDS, first_lines, no_such_command, train_alone
from thawline.commands.completion import command_to_complete, completing
from thawline.commands.ending import BAD_INPUT
from thawline.commands.started import note_start
from thawline.invocation import TRAIN


def main() -> int:
    """Run the command that `sys.argv` names; returns the exit code."""
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    command: str | None = TRAIN
    if first == "--version":
        print(f"thawline {__version__}")
        return 0
    if not sys.argv[1:]:
        note_start()
        print(first_lines())
        return 0
    if completing():
        command = command_to_complete()
    elif is_word(first):
        command = first.replace("-", "_")
        if command not in COMMANDS or sys.argv[1:] == [TRAIN]:
            note_start()
            line = train_alone() if command == TRAIN else no_such_command(first)
            print(f"error: {line}", file=sys.stderr)
            return BAD_INPUT
        del sys.argv[1]  # the command reads the rest, and so does what Lightning starts again
    if command is None:
        return 0
    code: int = importlib.import_module(f"thawline.commands.{command}").main()
    return code


def is_word(argument: str) -> bool:
    """Whether it can only be a command: neither an option, nor Hydra's `key=value` or `~key`."""
    return bool(argument) and "=" not in argument and argument[0] not in "-~"
