"""What each policy picks on a task, what that tests at, and its regret."""

from dataclasses import dataclass

from judge.expectations import Gain, expected_of
from judge.measurement import BLEND, FASTAI, STACK, Entry
from judge.prepared import NUM_SEEDS
from judge.regret_results import Sweep, mean_of
from judge.sweep_options import EVERYTHING, OPTIONS, PROBE, Option
from judge.tasks import TASKS
from thawline.advisor.guidelines import cell_of, guideline

NAMES = [option.name for option in OPTIONS]
FIRST, AVERAGE = "stacked_probe (the first answer)", "blend (auto within two minutes)"
AUTO, MATRIX = "auto: the one it keeps", "matrix"
ALWAYS_PROBE, ALWAYS_EVERYTHING = f"always {PROBE.name}", f"always {EVERYTHING.name}"
FASTAI_STYLE = "fastai-style fine_tune"
SWEEP, OTHER_SEEDS = "the whole sweep, best on validation", "best on the test data of the other two seeds"
_SEEDS = range(NUM_SEEDS)


@dataclass(frozen=True)
class Judged:
    """What came of a policy on one task and backbone.

    Attributes:
        picks: What it took, per seed.
        accuracy: On the test images, mean over the seeds.
        regret: By how much the best option of the sweep was better.
        share: Time of these runs as a share of the sweep's, mean over the seeds.
    """

    picks: list[str]
    accuracy: float
    regret: float
    share: float


def judge(sweep: Sweep, usual: Gain | None) -> dict[str, Judged]:
    """Policy -> what came of it.

    `OTHER_SEEDS` is no policy that anyone could follow: it says what knowing the task very well would be worth.
    """
    kept = []  # with its own name, auto's time is the blend's
    for stack, blend, of_stack, of_blend in zip(sweep.stack, sweep.blend, *expected_of(sweep, usual), strict=True):
        better = of_blend.accuracy > of_stack.accuracy
        kept.append((BLEND, blend) if better else (STACK, {**stack, "seconds": blend["seconds"]}))
    matrix = [_matrix_option(sweep.task, entry["distance"]).name for entry in sweep.blend]
    validated = [max(NAMES, key=lambda name: sweep.tuned[name][seed]["val"]) for seed in _SEEDS]
    elsewhere = [
        max(NAMES, key=lambda name: sum(sweep.tuned[name][other]["test"] for other in _SEEDS if other != seed))
        for seed in _SEEDS
    ]
    return {
        FIRST: _judged(sweep, [(STACK, entry) for entry in sweep.stack]),
        AVERAGE: _judged(sweep, [(BLEND, entry) for entry in sweep.blend]),
        AUTO: _judged(sweep, kept),
        MATRIX: _judged(sweep, _picked(sweep.named, matrix)),
        ALWAYS_PROBE: _judged(sweep, _picked(sweep.named, [PROBE.name] * NUM_SEEDS)),
        ALWAYS_EVERYTHING: _judged(sweep, _picked(sweep.named, [EVERYTHING.name] * NUM_SEEDS)),
        FASTAI_STYLE: _judged(sweep, [(FASTAI, entry) for entry in sweep.fastai]),
        SWEEP: _judged(sweep, _picked(sweep.tuned, validated)),
        OTHER_SEEDS: _judged(sweep, _picked(sweep.tuned, elsewhere)),
    }


def _judged(sweep: Sweep, picked: list[tuple[str, Entry]]) -> Judged:
    names, entries = [name for name, _ in picked], [entry for _, entry in picked]
    accuracy = mean_of(entries, "test")
    return Judged(names, accuracy, sweep.best[1] - accuracy, mean_of(entries, "seconds") / sweep.seconds)


def _picked(runs: dict[str, list[Entry]], names: list[str]) -> list[tuple[str, Entry]]:
    return [(name, runs[name][seed]) for seed, name in enumerate(names)]


def _matrix_option(task: str, distance: float | None) -> Option:
    return Option(*guideline(cell_of(TASKS[task].num_train, distance)))
