"""How Thawline was started: messages print commands in the form that the user typed, and jobs start in the same way.

`thawline.commands` notes it; every room may ask.
"""

import sys
from dataclasses import dataclass

TRAIN = "train"  # the command whose name may be left out


@dataclass(frozen=True)
class Invocation:
    """One way to start Thawline.

    Attributes:
        program: What is typed before a command: `thawline`, or `python -m thawline`. None: the scripts of a clone.
        start: Interpreter, script or module, and the options that say where configs lie: a run starts so.
    """

    program: str | None
    start: tuple[str, ...]

    def typed(self, command: str) -> str:
        """`verify_freeze` -> `thawline verify-freeze`, or `python scripts/verify_freeze.py`."""
        if self.program is None:
            return "python train.py" if command == TRAIN else f"python scripts/{command}.py"
        return self.program if command == TRAIN else f"{self.program} {command.replace('_', '-')}"


INSTALLED = Invocation("thawline", (sys.executable, "-m", "thawline"))  # holds wherever the package is installed
_current = INSTALLED


def note(invocation: Invocation) -> None:
    """Say how this process was started."""
    global _current
    _current = invocation


def current() -> Invocation:
    return _current


def typed(command: str) -> str:
    """What to type to run `command`, the name of a file of `thawline.commands`.

    >>> typed("verify_freeze")
    'thawline verify-freeze'
    """
    return _current.typed(command)
