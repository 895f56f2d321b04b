"""The advisor's choice on each task, made without having seen any sweep of that task, and what it cost."""

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thawline.advisor.evidence import Evidence, mean_of
from thawline.advisor.experience import Measured
from thawline.advisor.options import OPTIONS
from thawline.advisor.recommend import Price, cell_of, matrix_choice, recommend
from thawline.advisor.settings import BudgetSettings

NAMES = [option.name for option in OPTIONS]
ALWAYS = "full_fine_tune"
_FREE = dict.fromkeys(NAMES, Price(0.0, 0))


@dataclass(frozen=True)
class Sweep:
    """Results of one task and backbone.

    Attributes:
        evidence: Per seed.
        tests: Option -> test accuracy per seed.
        seconds: Of the sweep: every fit with its validations, rates tried on the first seed included.
        advice_s: Of the advisor's look, per seed.
    """

    task: str
    backbone: str
    evidence: list[Evidence]
    tests: dict[str, list[float]]
    rates: dict[str, float | None]
    seconds: float
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
    return Sweep(
        task,
        f"tf_{backbone}",
        [_evidence(seen) for seen in body["evidence"]],
        {name: [run["test"] for run in options[name]["runs"]] for name in NAMES},
        {name: options[name]["rate"] for name in NAMES},
        sum(fits),
        statistics.median(seen["seconds"] for seen in body["evidence"]),
    )


def _evidence(seen: dict[str, Any]) -> Evidence:
    scores = [accuracy for of_grid in seen["probes"].values() for accuracy in of_grid]
    return Evidence(
        seen["num_train"], seen["num_classes"], seen["distance"], seen["probes"]["1"][-1], max(scores),
        seen["all_stages"], seen["majority"], num_probed=seen["num_train"],
    )  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """What a policy chose on one task, per seed, and by how much the best option of the sweep was better."""

    chosen: list[str]
    accuracy: float
    regret: float
    sure: bool | None = None


def judge(sweep: Sweep, sweeps: list[Sweep]) -> dict[str, Judged]:
    """Policy -> what came of it; the advisor learns from the other tasks only."""
    others = [other.measured() for other in sweeps if _kind(other.task) != _kind(sweep.task)]
    advice = [recommend(seen, _FREE, measured=others, budget=BudgetSettings()) for seen in sweep.evidence]
    return {
        "advisor": _judged(sweep, [found.best.option.name for found in advice], all(found.sure for found in advice)),
        "matrix": _judged(sweep, [matrix_choice(cell_of(seen)) for seen in sweep.evidence]),
        "always full_fine_tune": _judged(sweep, [ALWAYS] * len(sweep.evidence)),
    }


def _kind(task: str) -> str:
    """Tasks of the same images, or of the same photographs, are one: leaving one out leaves out all."""
    return task.split("_")[0]


def _judged(sweep: Sweep, chosen: list[str], sure: bool | None = None) -> Judged:
    accuracy = statistics.mean(sweep.tests[name][seed] for seed, name in enumerate(chosen))
    return Judged(chosen, accuracy, sweep.best[1] - accuracy, sure)


def measured_json(sweeps: list[Sweep]) -> str:
    """The content of src/thawline/advisor/measured.json."""
    return json.dumps([asdict(sweep.measured()) for sweep in sweeps], indent=1) + "\n"
