"""The results of one task and backbone, read from the file that `measurement.py` writes."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from judge.measurement import BLEND, FASTAI, STACK, Entry, best_rate, entry_name
from judge.prepared import NUM_SEEDS
from judge.sweep_options import OPTIONS

_SEEDS = range(NUM_SEEDS)


@dataclass(frozen=True)
class Answers:
    """What the product answers for one task and backbone; every list has an entry per seed."""

    task: str
    backbone: str
    stack: list[Entry]
    blend: list[Entry]

    @property
    def kind(self) -> str:
        """Tasks of one kind are made of the same images: the first word of the name."""
        return self.task.partition("_")[0]

    @property
    def gain(self) -> float:
        """Test accuracy of the blend over the stack, mean over the seeds."""
        return mean_of(self.blend, "test") - mean_of(self.stack, "test")


@dataclass(frozen=True)
class Sweep(Answers):
    """The same, with the options.

    Attributes:
        tuned: Option -> runs at the rate that validated best on the first seed.
        named: Option -> runs at the rate that the advice names.
        seconds: Of the sweep of one seed, the first: every option, at every rate.
    """

    fastai: list[Entry]
    tuned: dict[str, list[Entry]]
    named: dict[str, list[Entry]]
    seconds: float

    @property
    def best(self) -> tuple[str, float]:
        """The option with the highest mean test accuracy at its tuned rate, and that accuracy."""
        means = {name: mean_of(runs, "test") for name, runs in self.tuned.items()}
        name = max(means, key=lambda n: means[n])
        return name, means[name]


def load_answers(path: Path) -> Answers | None:
    """Stack and blend of a file; None if something is missing."""
    made: dict[str, Entry] = json.loads(path.read_text(encoding="utf-8"))
    task, _, backbone = path.stem.partition("_tf_")
    try:
        stack, blend = ([made[entry_name(what, seed)] for seed in _SEEDS] for what in (STACK, BLEND))
    except KeyError:
        return None
    return Answers(task, f"tf_{backbone}", stack, blend)


def load_sweep(path: Path) -> Sweep | None:
    """The results in a file; None if something is missing."""
    made: dict[str, Entry] = json.loads(path.read_text(encoding="utf-8"))
    answers = load_answers(path)
    if answers is None:
        return None
    blend = answers.blend
    try:
        fastai = [made[entry_name(FASTAI, seed)] for seed in _SEEDS]
        tuned, named, seconds = {}, {}, 0.0
        for option in OPTIONS:
            best = best_rate(made, option)
            rates = [None if option.solved else entry["rate"] for entry in blend]
            tuned[option.name] = [made[entry_name(option.name, seed, best)] for seed in _SEEDS]
            named[option.name] = [made[entry_name(option.name, seed, rate)] for seed, rate in enumerate(rates)]
            seconds += sum(made[entry_name(option.name, 0, rate)]["seconds"] for rate in option.rates)
    except KeyError:
        return None
    return Sweep(answers.task, answers.backbone, answers.stack, blend, fastai, tuned, named, seconds)


def mean_of(entries: Sequence[Entry], key: str) -> float:
    return statistics.mean(float(entry[key]) for entry in entries)
