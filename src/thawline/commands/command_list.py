"""The commands, for those who ask and for those who mistype."""

import difflib
import os
from collections.abc import Sequence

from thawline.invocation import current

COMMANDS = {  # the name of a file beside this one -> what it does
    "train": "one run, or with -m a sweep: the rest of this page",
    "advise": "measure and explain, train nothing large",
    "inspect_images": "DIR: what is wrong with these images and labels",
    "compare": "PATH...: which runs are better, by how much, at what cost",
    "predict": "RUN IMAGES...: classes of images, as a table, CSV, JSON lines or Parquet",
    "evaluate": "RUN DIR: how good the model is on labelled images",
    "export": "RUN --format onnx|openvino|model --out DIR: the model for other runtimes",
    "serve": "RUN: an HTTP API and a page to drop images on",
    "verify_freeze": "RUN: recompute what a run froze, from files alone",
    "cache": "what is kept for later runs, and --clear",
    "doctor": "machine, versions, threads, and a self-test, to paste into a report",
}
_NEAR = 0.5  # chosen: difflib's similarity above which a name is suggested; `partial` for `partial_fine_tune` has 0.58


def shown_name(command: str) -> str:
    return command.replace("_", "-")


def commands_help() -> str:
    """A line for each command, in the form that the user types; a resolver of Hydra's, see conf/hydra/help."""
    forms = {current().typed(command): says for command, says in COMMANDS.items()}
    width = max(map(len, forms))
    return "\n".join(f"  {form:{width}}   {says}" for form, says in forms.items())


def no_such_command(word: str) -> str:
    """One line for a first word that is neither a command nor `key=value`."""
    names = [shown_name(command) for command in COMMANDS]
    hint = did_you_mean(shown_name(word), names)
    more = f"a run takes key=value{folder_hint(word)}"
    return f"{word}: no such command; {hint}commands are {', '.join(names)}; {more}"


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """The nearest of `names` as a question; empty where none is near."""
    near = difflib.get_close_matches(name, names, n=1, cutoff=_NEAR)
    return f"did you mean {near[0]}? " if near else ""


def folder_hint(argument: str) -> str:
    return f"; for a folder of images, data=folder data.root={argument}" if os.path.isdir(argument) else ""
