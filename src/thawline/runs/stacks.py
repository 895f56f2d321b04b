"""The stacked probes of scenario=auto: of every backbone and image size within the budget; one is taken."""

import logging
from dataclasses import dataclass, field
from functools import partial

from rich.console import Console

from thawline.advisor.pass_cost import PassCost, pass_cost
from thawline.errors import UserError
from thawline.features.left_out_answers import LeftOutAnswers
from thawline.features.paired_choice import best_of, optimism
from thawline.report.candidate_table import candidate_table
from thawline.report.record_sections import CandidateEntry
from thawline.runs.candidates import STACK, Candidate
from thawline.runs.compute_of_run import ready_compute
from thawline.runs.rung import Climb, Rung, completed, keep, lowered, note_rung, noted, run_rung
from thawline.whole_table import WholeTable

# Of a further candidate over the first, in test accuracy: what taking EfficientNet-Lite1 beside Lite0, by the answers
# that were left out, gained in the mean of eleven tasks at 112 pixels, three splits each (docs/advice.md). On one it
# was 6.7 points, on the others -0.5 to 0.9. What another image size gains was not measured.
_USUAL_GAIN = 0.007
_LEAST_PASS = 0.1  # of the time foretold; a pass that took less was read from the cache
_log = logging.getLogger(__name__)


@dataclass
class Solved:
    """A candidate with its stack."""

    candidate: Candidate
    rung: Rung
    answers: LeftOutAnswers
    cost: PassCost | None


@dataclass
class Stacks:
    """What was solved, and what became of every candidate.

    Attributes:
        pace: Seconds that the first pass took, by those measured for its images.
    """

    climb: Climb
    candidates: list[Candidate]
    solved: list[Solved] = field(default_factory=list)
    costs: dict[Candidate, PassCost] = field(default_factory=dict)
    notes: dict[Candidate, str] = field(default_factory=dict)
    best: Solved | None = None
    pace: float = 1.0

    def first(self) -> None:
        """Solve the first candidate that can be; with bounds on candidates, the first within them.

        Raises:
            UserError: There is none.
        """
        *others, last = self.candidates
        for candidate in others:
            with noted(partial(self._note, candidate)):
                self._solve_first(candidate)
                return
        self._solve_first(last)

    def _solve_first(self, candidate: Candidate) -> None:
        if self.climb.budget.bounds_models and (reason := self._beyond(candidate)) is not None:
            raise UserError(reason)
        self._solve(candidate)

    def others(self) -> None:
        """Solve the others in the order of their cost, as far as the budget goes; then show the table."""
        rest = [c for c in self.candidates if c not in self.notes and c is not self.solved[0].candidate]
        if self.climb.left > 0 and (rest or self.climb.budget.minutes is not None):
            self._measure_first()
        for candidate in sorted(filter(self._is_ready, rest), key=self._foretold):
            self._try(candidate)
        for candidate in self.candidates:
            if self.best is None or candidate is not self.best.candidate:
                self.climb.shared.forget(candidate.model)
        self._record()
        if len(self.candidates) > 1:
            Console().print(WholeTable(candidate_table(self.climb.record.advice.candidates)))

    @property
    def taken(self) -> Solved:
        """The choice so far, after `first`."""
        assert self.best is not None
        return self.best

    def cost_of(self, candidate: Candidate) -> PassCost:
        """Measured once, with the threads that a run begins with."""
        if candidate not in self.costs:
            settings = candidate.config.settings
            compute = ready_compute(settings, None)
            backbone = self.climb.shared.backbone(candidate.model, weights=settings.weights, seed=settings.seed)
            self.costs[candidate] = pass_cost(backbone, compute)
        return self.costs[candidate]

    def _measure_first(self) -> None:
        """How much longer a pass takes than was measured, with its images' decoding, and what a rung takes besides."""
        first, climb = self.solved[0], self.climb
        first.cost = cost = self.cost_of(first.candidate)
        data, pass_s = first.rung.record.data, first.rung.record.cache.seconds
        measured = cost.image_s * (data.num_train + data.num_val)
        self.pace = pass_s / measured if pass_s > _LEAST_PASS * measured else 1.0
        climb.fixed_s = max(first.rung.seconds - pass_s - self.pace * cost.image_s * data.num_test, 0.0)

    def _foretold(self, candidate: Candidate) -> float:
        """Seconds of the candidate's rung."""
        data = self.solved[0].rung.record.data
        num_images = data.num_train + data.num_val + data.num_test
        return self.climb.fixed_s + self.pace * num_images * self.cost_of(candidate).image_s

    def _is_ready(self, candidate: Candidate) -> bool:
        """Load and measure it; a line where it cannot be, or lies beyond a bound, or too little time is left."""
        left, least = self.climb.left, self.climb.fixed_s
        if left <= least and completed(self.climb, self._name(candidate)) is None:
            too_few = f"{left:.0f} s of budget.minutes are left"
            spent = too_few if left > 0 else "budget.minutes is spent"
            self._note(candidate, f"not tried: {spent}")
            return False
        with noted(lambda line: self._note(candidate, f"cannot be loaded: {line}")):
            if (reason := self._beyond(candidate)) is None:
                return True
            self._note(candidate, reason)
        return False

    def _try(self, candidate: Candidate) -> None:
        seconds, name = self._foretold(candidate), self._name(candidate)
        if completed(self.climb, name) is None:
            reason = self.climb.refused(str(candidate), seconds=seconds, gain=_USUAL_GAIN)
            if reason is not None:
                self._note(candidate, f"not tried: {reason}")
                return
        with noted(lambda line: self._note(candidate, f"failed: {line}")):
            rung = self._solve(candidate)
            if not rung.again:
                self.climb.seconds_of.append((seconds, rung.seconds))

    def _solve(self, candidate: Candidate) -> Rung:
        """Run its rung, choose among all, and publish the choice where it is another one."""
        rung = run_rung(self.climb, self._name(candidate), candidate.config, [*candidate.given, *STACK])
        answers = LeftOutAnswers.load(rung.folder)
        self.solved.append(Solved(candidate, rung, answers, self.costs.get(candidate)))
        before, by_cost = self.best, self._by_cost()
        self.best = best = by_cost[best_of([solved.answers for solved in by_cost])]
        too_good = optimism([solved.answers for solved in by_cost])
        self.climb.record.advice.optimism = too_good
        expected = lowered(best.rung.record.expected, too_good)
        kept = best.rung is rung
        if kept:
            keep(self.climb, rung, expected)
        elif best is not before:
            keep(self.climb, best.rung, expected)
        self.climb.record.expected = expected
        self._record()
        shown = expected if kept else rung.record.expected
        why_not = f"{best.candidate} is cheaper and as good, or better"
        note_rung(self.climb, rung, shown, kept=kept, why_not=why_not)
        return rung

    def _by_cost(self) -> list[Solved]:
        return sorted(self.solved, key=lambda solved: solved.cost.image_s if solved.cost else 0.0)

    def _beyond(self, candidate: Candidate) -> str | None:
        """The bound that it exceeds; it is loaded and measured."""
        cost = self.cost_of(candidate)
        return self.climb.beyond(str(candidate), latency_s=cost.latency_s, num_bytes=cost.num_bytes)

    def _name(self, candidate: Candidate) -> str:
        return "stacked_probe" if len(self.candidates) == 1 else f"stacked_probe_{candidate.file_name}"

    def _note(self, candidate: Candidate, reason: str) -> None:
        self.notes[candidate] = reason
        _log.warning("%s: %s.", candidate, reason)

    def _record(self) -> None:
        """What run.json says of the candidates, where there are several."""
        if len(self.candidates) > 1:
            self.climb.record.advice.candidates = [self._entry(candidate) for candidate in self.candidates]

    def _entry(self, candidate: Candidate) -> CandidateEntry:
        entry = CandidateEntry(candidate.name, candidate.image_size, note=self.notes.get(candidate, ""))
        if (cost := self.costs.get(candidate)) is not None:
            entry.latency_ms, entry.size_mb = round(1e3 * cost.latency_s, 2), round(cost.num_bytes / 1e6, 2)
        for solved in self.solved:
            if solved.candidate is candidate:
                entry.expected, entry.kept = solved.rung.record.expected, solved is self.best
                entry.log_loss = float(solved.answers.losses.mean())
        return entry
