"""The advisor's choice on each task, made without having seen any sweep of that task, and what it cost."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from thawline.advisor.evidence import Evidence, mean_of
from thawline.advisor.experience import Measured
from thawline.advisor.options import OPTIONS
from thawline.advisor.recommend import Price, Recommendation, cell_of, matrix_choice, recommend
from thawline.advisor.settings import BudgetSettings

NAMES = [option.name for option in OPTIONS]
ALWAYS = ("multi_layer_probe", "full_fine_tune")
SWEEP = "the whole sweep, best on validation"
BOTH = "the advisor, both options run where it is not sure"
OTHER_SEEDS = "best on the test data of the other two seeds"
_FREE = dict.fromkeys(NAMES, Price(0.0, 0))


@dataclass(frozen=True)
class Sweep:
    """Results of one task and backbone.

    Attributes:
        evidence: Per seed.
        vals, tests: Option -> validation and test accuracy per seed.
        seconds: Of the sweep: every fit with its validations, rates tried on the first seed included.
        run_s: Option -> of one run, the median over the seeds.
        advice_s: Of the advisor's look and pilot, for one seed.
    """

    task: str
    backbone: str
    evidence: list[Evidence]
    vals: dict[str, list[float]]
    tests: dict[str, list[float]]
    rates: dict[str, float | None]
    seconds: float
    run_s: dict[str, float]
    advice_s: float

    def measured(self) -> Measured:
        means = {name: round(statistics.mean(tests), 4) for name, tests in self.tests.items()}
        return Measured(self.task, self.backbone, mean_of(self.evidence), means, self.rates)

    @property
    def best(self) -> tuple[str, float]:
        """The option with the highest mean test accuracy, and that accuracy."""
        name = max(self.tests, key=lambda n: statistics.mean(self.tests[n]))
        return name, statistics.mean(self.tests[name])


def load_sweep(path: Path) -> Sweep:
    body = json.loads(path.read_text(encoding="utf-8"))
    task, _, backbone = path.stem.partition("_tf_")
    options = body["options"]
    fits = [fit["seconds"] for found in options.values() for fit in [*found["tried"].values(), *found["runs"][1:]]]
    vals, tests = ({name: [run[part] for run in options[name]["runs"]] for name in NAMES} for part in ("val", "test"))
    return Sweep(
        task,
        f"tf_{backbone}",
        [Evidence(**seen["evidence"]) for seen in body["evidence"]],
        vals,
        tests,
        {name: options[name]["rate"] for name in NAMES},
        sum(fits),
        {name: statistics.median(run["seconds"] for run in options[name]["runs"]) for name in NAMES},
        statistics.median(seen["seconds"] + seen["pilot_seconds"] for seen in body["evidence"]),
    )


@dataclass(frozen=True)
class Judged:
    """What a policy chose on one task, per seed, and by how much the best option of the sweep was better."""

    chosen: list[str]
    accuracy: float
    regret: float
    sure: bool | None = None


def judge(sweep: Sweep, sweeps: list[Sweep]) -> dict[str, Judged]:
    """Policy -> what came of it; the advisor learns from the other tasks only.

    `OTHER_SEEDS` is no policy that anyone could follow: it says what knowing the task very well would be worth.
    """
    advice = _advice(sweep, sweeps)
    return {
        "advisor": _judged(sweep, [found.best.option.name for found in advice], all(found.sure for found in advice)),
        BOTH: _judged(sweep, [_best_validated(sweep, seed, _advised(found)) for seed, found in enumerate(advice)]),
        "matrix": _judged(sweep, [matrix_choice(cell_of(seen)) for seen in sweep.evidence]),
        **{f"always {name}": _judged(sweep, [name] * len(sweep.evidence)) for name in ALWAYS},
        SWEEP: _judged(sweep, [_best_validated(sweep, seed) for seed in range(len(sweep.evidence))]),
        OTHER_SEEDS: _judged(sweep, [_best_elsewhere(sweep, seed) for seed in range(len(sweep.evidence))]),
    }


@dataclass(frozen=True)
class Foretold:
    """The accuracy that the advice foretold for its first option: how much too high, and whether its bounds held."""

    error: float
    held: bool


def foretold(sweep: Sweep, sweeps: list[Sweep]) -> list[Foretold]:
    """Per seed."""
    told = []
    for seed, found in enumerate(_advice(sweep, sweeps)):
        expected, tested = found.best.expected, sweep.tests[found.best.option.name][seed]
        low, high = expected.interval()
        told.append(Foretold(expected.accuracy - tested, low <= tested <= high))
    return told


def _advice(sweep: Sweep, sweeps: list[Sweep]) -> list[Recommendation]:
    """Per seed, from sweeps of other kinds of tasks."""
    own = sweep.measured()
    others = [found for other in sweeps if (found := other.measured()).kind != own.kind]
    return [recommend(seen, _FREE, measured=others, budget=BudgetSettings()) for seen in sweep.evidence]


def _advised(found: Recommendation) -> list[str]:
    """What the advice says to run: one option, or the two that it cannot tell apart."""
    both = [found.best] if found.sure or found.runner_up is None else [found.best, found.runner_up]
    return [choice.option.name for choice in both]


def _best_validated(sweep: Sweep, seed: int, names: Sequence[str] = NAMES) -> str:
    return max(names, key=lambda name: sweep.vals[name][seed])


def _best_elsewhere(sweep: Sweep, seed: int) -> str:
    return max(NAMES, key=lambda name: sum(sweep.tests[name]) - sweep.tests[name][seed])


def _judged(sweep: Sweep, chosen: list[str], sure: bool | None = None) -> Judged:
    accuracy = statistics.mean(sweep.tests[name][seed] for seed, name in enumerate(chosen))
    return Judged(chosen, accuracy, sweep.best[1] - accuracy, sure)


def measured_json(sweeps: list[Sweep]) -> str:
    """The content of src/thawline/advisor/measured.json."""
    return json.dumps([asdict(sweep.measured()) for sweep in sweeps], indent=1) + "\n"
