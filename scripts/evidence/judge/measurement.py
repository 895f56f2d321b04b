"""Everything that is measured of one task and backbone, written entry by entry; a second call goes on."""

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

from judge.fastai_style import fastai_style
from judge.option_fits import Fit, accuracy, fine_tuned, solved_head, trained
from judge.prepared import NUM_SEEDS, prepare
from judge.product_answers import blend_entry, line_of, solve, stacked_probe_entry
from judge.sweep_options import OPTIONS, Option
from judge.tasks import Task
from thawline.advisor.choices import epochs_of
from thawline.atomic import write_atomically

Entry = dict[str, Any]
STACK, BLEND, FASTAI = "stacked_probe", "blend", "fastai_style"
_DIGITS = 6  # of numbers that are kept


def entry_name(what: str, seed: int, rate: float | None = None) -> str:
    """Such as `partial_fine_tune_2, seed 0, rate 0.0003`; a head that is solved for has no rate."""
    return f"{what}, seed {seed}" + ("" if rate is None else f", rate {rate:g}")


class Entries:
    """Name -> what was measured, in a JSON file that each new entry is written to at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made: dict[str, Entry] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def get(self, name: str, make: Callable[[], Entry]) -> Entry:
        """The entry; made if it is not there."""
        if name not in self.made:
            self.made[name] = _rounded(make())
            write_atomically(self.path, json.dumps(self.made, indent=1) + "\n")
            print(f"{self.path.stem}: {name}: test {self.made[name]['test']:.3f}", flush=True)
        return self.made[name]


class Maker(Protocol):
    """Makes entries of one task and backbone."""

    def stack(self, seed: int) -> Entry: ...
    def blend(self, seed: int) -> Entry: ...
    def fastai(self, seed: int) -> Entry: ...
    def fit(self, option: Option, seed: int, rate: float | None) -> Entry: ...


def measure_answers(entries: Entries, make: Maker) -> list[float]:
    """Make what is missing of the product's answers; the rates that the advice names, per seed."""
    named = []
    for seed in range(NUM_SEEDS):
        entries.get(entry_name(STACK, seed), partial(make.stack, seed))
        named.append(float(entries.get(entry_name(BLEND, seed), partial(make.blend, seed))["rate"]))
    return named


def measure(entries: Entries, make: Maker) -> None:
    """Make what is missing. On the first seed every rate is tried; the one that validates best serves all seeds.

    Besides, every option has a run at the rate that the advice names for the seed's images.
    """
    named = measure_answers(entries, make)
    for seed in range(NUM_SEEDS):
        entries.get(entry_name(FASTAI, seed), partial(make.fastai, seed))
    for option in OPTIONS:

        def fit(seed: int, rate: float | None, option: Option = option) -> Entry:
            return entries.get(entry_name(option.name, seed, rate), partial(make.fit, option, seed, rate))

        for rate in option.rates:
            fit(0, rate)
        best = best_rate(entries.made, option)
        for seed in range(NUM_SEEDS):
            fit(seed, best)
            fit(seed, None if option.solved else named[seed])


def best_rate(made: dict[str, Entry], option: Option) -> float | None:
    """The rate that validates best on the first seed; of equals the lowest."""
    return max(option.rates, key=lambda rate: made[entry_name(option.name, 0, rate)]["val"])


class TaskMaker:
    """Makes the entries of a task. Images and features are prepared when the first of them is asked for."""

    def __init__(self, task: Task, backbone: str) -> None:
        self._prepared = cache(lambda: prepare(task, backbone))
        self._solved = cache(lambda seed: solve(self._prepared(), seed))
        self._tuned = cache(lambda *fit: self._fine_tuned(*fit))  # a blend's stages may be an option's too

    def stack(self, seed: int) -> Entry:
        return stacked_probe_entry(self._prepared(), seed, self._solved(seed))

    def blend(self, seed: int) -> Entry:
        solved = self._solved(seed)
        line = line_of(self._prepared(), seed, solved)
        tuned = self._tuned(Option("partial_fine_tune", line.depth), seed, line.rate, line.epochs)
        return blend_entry(self._prepared(), seed, solved, line, tuned)

    def fastai(self, seed: int) -> Entry:
        num_stages = self._prepared().backbone.num_stages
        training = fastai_style(num_stages=num_stages, num_train=self._num_train(seed))
        return self._scored(trained(training, self._prepared(), cut=0, seed=seed), seed)

    def fit(self, option: Option, seed: int, rate: float | None) -> Entry:
        if rate is None:
            return self._scored(solved_head(option, self._prepared(), seed=seed), seed)
        return self._scored(self._tuned(option, seed, rate, epochs_of(self._num_train(seed))), seed)

    def _fine_tuned(self, option: Option, seed: int, rate: float, epochs: int) -> Fit:
        return fine_tuned(option, self._prepared(), seed=seed, rate=rate, epochs=epochs)

    def _num_train(self, seed: int) -> int:
        return len(self._prepared().splits[seed]["train"])

    def _scored(self, fit: Fit, seed: int) -> Entry:
        prepared = self._prepared()
        val, test = (prepared.part(prepared.labels, seed, name) for name in ("val", "test"))
        return {"val": accuracy(fit.val, val), "test": accuracy(fit.test, test), "seconds": fit.seconds}


def _rounded(entry: Entry) -> Entry:
    return {
        key: _rounded(value) if isinstance(value, dict) else round(value, _DIGITS) if type(value) is float else value
        for key, value in entry.items()
    }
