"""How a run was asked for: what the code below the command line may know of it."""

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.types import RunMode

# Folder that `new_dir` made in this process -> the folders above that it made for it, the nearest first.
MADE: dict[Path, list[Path]] = {}


@dataclass(frozen=True)
class RunContext:
    """A command line, as far as a run needs it.

    Attributes:
        folder: Where the run, or the advice, is written; it exists.
        overrides: As they were typed, in Hydra's grammar.
        choices: Group -> the file of conf/ that was chosen, such as `scenario` -> `small_different`.
        multirun: Whether the run is a job of a sweep that shares this process.
        rung: Which of the runs of scenario=auto it is, from 1, and says less; 0 for any other run.
    """

    folder: Path
    overrides: tuple[str, ...]
    choices: Mapping[str, str]
    multirun: bool
    rung: int = 0

    @property
    def resumed_as(self) -> Path:
        """What `resume=` takes: the run's folder, of a rung that of the whole run."""
        return self.folder.parents[1] if self.rung else self.folder


def new_dir(wanted: str) -> str:
    """Make the folder `wanted`, or one with -2, -3, ... after its name where it is there; returns it.

    Many jobs of a cluster may start in one microsecond, and a clock may be set back. A Hydra resolver; see
    conf/train.yaml.
    """
    above = [folder for folder in Path(wanted).parents if not folder.exists()]
    try:
        os.makedirs(os.path.dirname(wanted) or ".", exist_ok=True)
        for number in itertools.count(1):
            folder = wanted if number == 1 else f"{wanted}-{number}"
            try:
                os.mkdir(folder)
                MADE[Path(folder).absolute()] = [one.absolute() for one in above]
                return folder
            except FileExistsError:
                continue
    except OSError:  # Hydra makes it too, and says what is wrong
        pass
    return wanted


def context_of(hydra: Any) -> RunContext:
    """From the section `hydra` of a composed config, as `HydraConfig.get()` returns it."""
    return RunContext(
        folder=Path(str(hydra.runtime.output_dir)),
        overrides=tuple(hydra.overrides.task),
        choices={str(group): str(choice) for group, choice in hydra.runtime.choices.items()},
        multirun=hydra.mode == RunMode.MULTIRUN,
    )
