"""The runs of `sweep=matrix` by cell and strategy."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from thawline.errors import UserError
from thawline.report.collect import collect
from thawline.report.estimates import Estimate, estimate, paired_difference
from thawline.report.run_record import RunRecord

STRATEGIES = ("feature_extraction", "partial_fine_tune", "fine_tune", "full_fine_tune", "from_scratch")
GUIDELINE = {  # cell -> what the matrix says
    "small_similar": "feature_extraction",
    "small_different": "partial_fine_tune",
    "large_similar": "fine_tune",
    "large_different": "full_fine_tune",
}
TEST, VALIDATION = "test/accuracy", "val/accuracy"


class Cell:
    """One cell of the matrix: strategy -> seed -> record."""

    def __init__(self, name: str, runs: dict[str, dict[int, RunRecord]]) -> None:
        self.name = name
        self.runs = runs

    @property
    def guideline(self) -> str:
        return GUIDELINE[self.name]

    def ranking(self, metric: str = TEST) -> list[str]:
        """Strategies, the best mean first."""
        means = {strategy: statistics.fmean(self._scores(strategy, metric).values()) for strategy in self.runs}
        return sorted(means, key=lambda strategy: -means[strategy])

    def best(self, metric: str = TEST) -> str:
        """The strategy with the best mean."""
        return self.ranking(metric)[0]

    @property
    def any_record(self) -> RunRecord:
        return next(iter(self.runs[self.guideline].values()))

    def accuracy(self, strategy: str) -> Estimate:
        """On test images, over the seeds."""
        return estimate(list(self._scores(strategy, TEST).values()))

    def behind(self, strategy: str) -> Estimate:
        """Test accuracy of the best strategy less that of `strategy`, seed by seed."""
        return paired_difference(self._scores(self.best(), TEST), self._scores(strategy, TEST))

    def cost(self, strategy: str, key: str) -> float:
        """Median over the seeds of an entry of run.json's `cost`."""
        return statistics.median(float(getattr(record.cost, key)) for record in self.runs[strategy].values())

    def curve(self, strategy: str) -> tuple[list[float], list[list[float]]]:
        """Optimizer steps, and per seed the validation accuracy at each."""
        curves = [record.curves["val/accuracy"] for record in self.runs[strategy].values()]
        return [float(step or 0) for step, _ in curves[0]], [
            [float(value or 0) for _, value in levels] for levels in curves
        ]

    def _scores(self, strategy: str, metric: str) -> dict[int, float]:
        return {seed: record.metrics[metric] for seed, record in self.runs[strategy].items()}


def read_cells(paths: Sequence[Path]) -> list[Cell]:
    """The four cells.

    Raises:
        UserError: A cell lacks a strategy, or its strategies lack common seeds.
    """
    by_cell: dict[str, dict[str, dict[int, RunRecord]]] = {name: {} for name in GUIDELINE}
    for run in collect(paths)[0]:
        record = run.record
        if record.scenario in by_cell and record.strategy.name in STRATEGIES:
            by_cell[record.scenario].setdefault(record.strategy.name, {})[record.seed] = record
    for name, runs in by_cell.items():
        if missing := [strategy for strategy in STRATEGIES if strategy not in runs]:
            raise UserError(f"scenario={name}: no completed run of {', '.join(missing)}; run sweep=matrix to its end")
        if len({tuple(sorted(by_seed)) for by_seed in runs.values()}) > 1:
            raise UserError(f"scenario={name}: its strategies ran with different seeds; run sweep=matrix to its end")
    return [Cell(name, {strategy: runs[strategy] for strategy in STRATEGIES}) for name, runs in by_cell.items()]


def steps_to(steps: Sequence[float], accuracies: Sequence[Sequence[float]], level: float) -> float | None:
    """The first validation at which the mean over the seeds has reached `level`; None if none has."""
    means = [statistics.mean(values) for values in zip(*accuracies, strict=True)]
    return next((step for step, mean in zip(steps, means, strict=True) if mean >= level), None)
