"""The advisor's choice on each task, made without having seen any sweep of that task, and what it cost."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from thawline.advisor.evidence import Evidence
from thawline.advisor.experience import Measured
from thawline.advisor.options import OPTIONS
from thawline.advisor.recommend import Price, Recommendation, cell_of, matrix_choice, recommend
from thawline.settings.advise_settings import BudgetSettings

NAMES = [option.name for option in OPTIONS]
ALWAYS = ("multi_layer_probe", "full_fine_tune")
SWEEP = "the whole sweep, best on validation"
BOTH = "the advisor, both options run where it is not sure"
OTHER_SEEDS = "best on the test data of the other two seeds"
_FREE = dict.fromkeys(NAMES, Price(0.0, 0))


def mean_of(several: Sequence[Evidence]) -> Evidence:
    """The mean over several draws of images of the same target; shifted if most of them are."""
    means: dict[str, Any] = {}
    for key in ("distance", "last", "all_stages", "pilot", "majority"):
        known = [value for evidence in several if (value := getattr(evidence, key)) is not None]
        means[key] = statistics.fmean(known) if known else None
    shifted = sum(evidence.shifted for evidence in several) * 2 > len(several)
    return replace(several[0], **means, shifted=shifted)


@dataclass(frozen=True)
class Runs:
    """Validation and test accuracies of an option, per seed."""

    vals: list[float]
    tests: list[float]


@dataclass(frozen=True)
class Sweep:
    """Results of one task and backbone.

    Attributes:
        evidence: Per seed.
        tuned: Option -> runs at the rate that validated best on the first seed.
        named: Option -> runs at the rate that the advice names.
        seconds: Of the sweep: every fit with its validations, rates tried on the first seed included.
        run_s: Option -> of one run, the median over the seeds.
        advice_s: Of the advisor's look and pilot, for one seed.
    """

    task: str
    backbone: str
    evidence: list[Evidence]
    tuned: dict[str, Runs]
    named: dict[str, Runs]
    seconds: float
    run_s: dict[str, float]
    advice_s: float

    def measured(self) -> Measured:
        means = {name: round(statistics.mean(runs.tests), 4) for name, runs in self.named.items()}
        return Measured(self.task, self.backbone, mean_of(self.evidence), means)

    @property
    def best(self) -> tuple[str, float]:
        """The option with the highest mean test accuracy at its tuned rate, and that accuracy."""
        means = {name: statistics.mean(runs.tests) for name, runs in self.tuned.items()}
        name = max(means, key=lambda n: means[n])
        return name, means[name]


def load_sweep(path: Path) -> Sweep:
    body = json.loads(path.read_text(encoding="utf-8"))
    task, _, backbone = path.stem.partition("_tf_")
    options = body["options"]
    fits = [fit["seconds"] for found in options.values() for fit in [*found["tried"].values(), *found["runs"][1:]]]
    return Sweep(
        task,
        f"tf_{backbone}",
        [Evidence(**seen["evidence"]) for seen in body["evidence"]],
        {name: _runs(options[name]["runs"]) for name in NAMES},
        {name: _runs(options[name]["named"]) for name in NAMES},
        sum(fits),
        {name: statistics.median(run["seconds"] for run in options[name]["named"]) for name in NAMES},
        statistics.median(seen["seconds"] + seen["pilot_seconds"] for seen in body["evidence"]),
    )


def _runs(per_seed: list[dict[str, float]]) -> Runs:
    return Runs([run["val"] for run in per_seed], [run["test"] for run in per_seed])


@dataclass(frozen=True)
class Judged:
    """What a policy chose on one task, per seed, and by how much the best option of the sweep was better."""

    chosen: list[str]
    accuracy: float
    regret: float
    sure: bool | None = None


def judge(sweep: Sweep, advice: Sequence[Recommendation]) -> dict[str, Judged]:
    """Policy -> what came of it.

    `OTHER_SEEDS` is no policy that anyone could follow: it says what knowing the task very well would be worth.

    Args:
        advice: Per seed.
    """
    named, tuned, seeds = sweep.named, sweep.tuned, range(len(advice))
    return {
        "advisor": _judged(
            sweep, named, [found.best.option.name for found in advice], sure=all(found.sure for found in advice)
        ),
        BOTH: _judged(
            sweep, named, [_best_validated(named, _advised(found), seed) for seed, found in enumerate(advice)]
        ),
        "matrix": _judged(sweep, named, [matrix_choice(cell_of(seen)) for seen in sweep.evidence]),
        **{f"always {name}": _judged(sweep, named, [name] * len(seeds)) for name in ALWAYS},
        SWEEP: _judged(sweep, tuned, [_best_validated(tuned, NAMES, seed) for seed in seeds]),
        OTHER_SEEDS: _judged(sweep, tuned, [_best_elsewhere(tuned, seed) for seed in seeds]),
    }


@dataclass(frozen=True)
class Foretold:
    """The accuracy that the advice foretold for its first option: how much too high, and whether its bounds held."""

    error: float
    held: bool


def foretold(sweep: Sweep, advice: Sequence[Recommendation]) -> list[Foretold]:
    """Per seed."""
    told = []
    for seed, found in enumerate(advice):
        expected, tested = found.best.expected, sweep.named[found.best.option.name].tests[seed]
        low, high = expected.interval()
        told.append(Foretold(expected.accuracy - tested, low <= tested <= high))
    return told


def advise(sweep: Sweep, sweeps: Sequence[Sweep]) -> list[Recommendation]:
    """The advice per seed, from sweeps of other kinds of tasks."""
    own = sweep.measured()
    others = [found for other in sweeps if (found := other.measured()).kind != own.kind]
    return [recommend(seen, _FREE, measured=others, budget=BudgetSettings()) for seen in sweep.evidence]


def _advised(found: Recommendation) -> list[str]:
    """What the advice says to run: one option, or two where it is not sure."""
    return [choice.option.name for choice in (found.best, found.second) if choice]


def running_share(sweep: Sweep, advice: Sequence[Recommendation]) -> float:
    """Time of what the advice says to run, the mean over the seeds, as a share of the sweep's."""
    return statistics.mean(sum(sweep.run_s[name] for name in _advised(found)) for found in advice) / sweep.seconds


def _best_validated(runs: Mapping[str, Runs], names: Sequence[str], seed: int) -> str:
    return max(names, key=lambda name: runs[name].vals[seed])


def _best_elsewhere(runs: Mapping[str, Runs], seed: int) -> str:
    return max(NAMES, key=lambda name: sum(runs[name].tests) - runs[name].tests[seed])


def _judged(sweep: Sweep, runs: Mapping[str, Runs], chosen: list[str], *, sure: bool | None = None) -> Judged:
    accuracy = statistics.mean(runs[name].tests[seed] for seed, name in enumerate(chosen))
    return Judged(chosen, accuracy, sweep.best[1] - accuracy, sure)


def measured_json(sweeps: list[Sweep]) -> str:
    """The content of src/thawline/advisor/measured.json."""
    return json.dumps([asdict(sweep.measured()) for sweep in sweeps], indent=1) + "\n"
