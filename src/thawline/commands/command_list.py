"""The commands, for those who ask and for those who mistype."""

import difflib
import os
import shlex
from collections.abc import Sequence

from thawline.invocation import TRAIN, current, typed

COMMANDS = {  # the name of a file beside this one -> what it does
    "train": "KEY=VALUE...: one run, or with -m a sweep",
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
_RUN_ON_IMAGES = "scenario=auto data=folder data.root=photos"
_DEMO = "scenario=small_different"
_NEAR = 0.6  # difflib's default similarity above which a name is suggested; `export` for `photos` has 0.5


def shown_name(command: str) -> str:
    return command.replace("_", "-")


def commands_help() -> str:
    """A line for each command, in the form that the user types; a resolver of Hydra's, see conf/hydra/help."""
    forms = {current().typed(command): says for command, says in COMMANDS.items()}
    width = max(map(len, forms))
    return "\n".join(f"  {form:{width}}   {says}" for form, says in forms.items())


def first_lines() -> str:
    """What a newcomer types; the answer to the bare command."""
    run, width = typed(TRAIN), len(_RUN_ON_IMAGES)
    return "\n".join(
        (
            "Thawline: fine-tune a pretrained backbone, and see what freezing buys.",
            "",
            f"  {run} {_RUN_ON_IMAGES}   your images: photos holds one folder per class",
            f"  {run} {_DEMO:{width}}   the demo: 800 solar-cell images, offline",
            "",
            "Commands",
            commands_help(),
            "",
            f"All options of a run: {run} --help",
        )
    )


def train_alone() -> str:
    """One line for `thawline train` without a word on what."""
    run = typed(TRAIN)
    return f"{TRAIN}: say on which images: {run} {_RUN_ON_IMAGES}, or for the demo {run} {_DEMO}"


def no_such_command(word: str) -> str:
    """One line for a first word that is neither a command nor `key=value`."""
    if hint := folder_hint(word):
        return f"{word}: no such command{hint}"
    names = [shown_name(command) for command in COMMANDS]
    hint = did_you_mean(shown_name(word), names)
    return f"{word}: no such command; {hint}commands are {', '.join(names)}; a run takes key=value"


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """The nearest of `names` as a question, one that begins so before others; empty where none is near."""
    begun = [other for other in names if len(name) > 1 and other.startswith(name)]
    near = begun or difflib.get_close_matches(name, names, n=1, cutoff=_NEAR)
    return f"did you mean {near[0]}? " if near else ""


def folder_hint(argument: str) -> str:
    if not os.path.isdir(argument):
        return ""
    run = _RUN_ON_IMAGES.replace("data.root=photos", shlex.quote(f"data.root={argument}"))
    return f"; for a folder of images: {typed(TRAIN)} {run}"
