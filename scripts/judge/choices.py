"""The advisor's choice on each task, made without having seen any sweep of that task, and what it cost."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from thawline.advisor.evidence import Evidence, mean_of
from thawline.advisor.experience import Measured
from thawline.advisor.options import OPTIONS
from thawline.advisor.recommend import Choice, Price, Recommendation, cell_of, matrix_choice, recommend
from thawline.advisor.settings import BudgetSettings

NAMES = [option.name for option in OPTIONS]
ALWAYS = ("multi_layer_probe", "full_fine_tune")
SWEEP = "the whole sweep, best on validation"
BOTH = "the advisor, both options run where it is not sure"
OTHER_SEEDS = "best on the test data of the other two seeds"
_FREE = dict.fromkeys(NAMES, Price(0.0, 0))


@dataclass(frozen=True)
class Runs:
    """Validation and test accuracies of an option at one rate, per seed."""

    vals: list[float]
    tests: list[float]


@dataclass(frozen=True)
class Sweep:
    """Results of one task and backbone.

    Attributes:
        evidence: Per seed.
        vals, tests: Option -> validation and test accuracy per seed.
        seconds: Of the sweep: every fit with its validations, rates tried on the first seed included.
        run_s: Option -> of one run, the median over the seeds.
        advice_s: Of the advisor's look and pilot, for one seed.
        named: Option -> rate that the advisor named -> its runs, where that is not the one that validated best.
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
    named: dict[str, dict[float, Runs]]

    def at(self, name: str, rate: float | None) -> Runs | None:
        """Runs of an option at a rate; None where there are none."""
        if rate == self.rates[name]:
            return Runs(self.vals[name], self.tests[name])
        return None if rate is None else self.named.get(name, {}).get(rate)

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
        {
            name: {
                float(rate): Runs([run["val"] for run in runs], [run["test"] for run in runs])
                for rate, runs in found.get("named", {}).items()
            }
            for name, found in options.items()
        },
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
        "advisor": _as_named(sweep, [[found.best] for found in advice], sure=all(found.sure for found in advice)),
        BOTH: _as_named(sweep, [_advised(found) for found in advice]),
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
        expected, tested = found.best.expected, _runs(sweep, found.best).tests[seed]
        low, high = expected.interval()
        told.append(Foretold(expected.accuracy - tested, low <= tested <= high))
    return told


def _advice(sweep: Sweep, sweeps: list[Sweep]) -> list[Recommendation]:
    """Per seed, from sweeps of other kinds of tasks."""
    own = sweep.measured()
    others = [found for other in sweeps if (found := other.measured()).kind != own.kind]
    return [recommend(seen, _FREE, measured=others, budget=BudgetSettings()) for seen in sweep.evidence]


def _advised(found: Recommendation) -> list[Choice]:
    """What the advice says to run: one option, or the two that it cannot tell apart."""
    return [found.best] if found.sure or found.runner_up is None else [found.best, found.runner_up]


def named_rates(sweep: Sweep, sweeps: list[Sweep]) -> dict[str, list[float]]:
    """Option -> rates at which the advice says to run it, on some seed, and of which there are no runs."""
    missing: dict[str, list[float]] = {}
    for choice in (choice for found in _advice(sweep, sweeps) for choice in _advised(found)):
        rates = missing.setdefault(choice.option.name, [])
        if choice.rate is not None and choice.rate not in rates and sweep.at(choice.option.name, choice.rate) is None:
            rates.append(choice.rate)
    return {name: rates for name, rates in missing.items() if rates}


def _as_named(sweep: Sweep, advised: Sequence[Sequence[Choice]], *, sure: bool | None = None) -> Judged:
    """Per seed the one of the choices that validates best, each at the rate that the advice names."""
    chosen, tests = [], []
    for seed, choices in enumerate(advised):
        runs = {choice.option.name: _runs(sweep, choice) for choice in choices}
        name = max(runs, key=lambda name: runs[name].vals[seed])
        chosen.append(name)
        tests.append(runs[name].tests[seed])
    accuracy = statistics.mean(tests)
    return Judged(chosen, accuracy, sweep.best[1] - accuracy, sure)


def _runs(sweep: Sweep, choice: Choice) -> Runs:
    runs = sweep.at(choice.option.name, choice.rate)
    assert runs is not None, f"{sweep.task} {sweep.backbone}: no runs of {choice.option.name} at {choice.rate}"
    return runs


def _best_validated(sweep: Sweep, seed: int) -> str:
    return max(NAMES, key=lambda name: sweep.vals[name][seed])


def _best_elsewhere(sweep: Sweep, seed: int) -> str:
    return max(NAMES, key=lambda name: sum(sweep.tests[name]) - sweep.tests[name][seed])


def _judged(sweep: Sweep, chosen: list[str], sure: bool | None = None) -> Judged:
    accuracy = statistics.mean(sweep.tests[name][seed] for seed, name in enumerate(chosen))
    return Judged(chosen, accuracy, sweep.best[1] - accuracy, sure)


def measured_json(sweeps: list[Sweep]) -> str:
    """The content of src/thawline/advisor/measured.json."""
    return json.dumps([asdict(sweep.measured()) for sweep in sweeps], indent=1) + "\n"
