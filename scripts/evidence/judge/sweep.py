"""One task and backbone: what the advisor sees, then every option, its rate chosen on validation, over the seeds."""

import json
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from judge.measured_evidence import evidence
from judge.option_fits import Fit, fit
from judge.prepared import NUM_SEEDS, Prepared, prepare
from judge.tasks import Task
from thawline.advisor.evidence import Evidence
from thawline.advisor.options import LOW_RATE, OPTIONS, USUAL_RATE, Option, rate_of
from thawline.advisor.recommend import is_similar
from thawline.atomic import write_atomically

# "prepare_s", "evidence" per seed, "options": name -> {"rate", "tried", "runs" per seed, "named" per seed}
Results = dict[str, Any]
_NUM_STAGES = 9  # of both backbones
_RATES = (LOW_RATE, USUAL_RATE, 1e-3)  # tried for every option: the two that the advice names, and a higher one


def measure(task: Task, backbone: str, folder: Path) -> Results:
    """The results in `folder`, with what was missing measured; each option is written as soon as it is done."""
    path = folder / f"{task.name}_{backbone}.json"
    body: Results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    missing = [option for option in OPTIONS if not _is_done(option, body)]
    if _has_evidence(body) and not missing:
        return body
    start = time.perf_counter()
    prepared = prepare(task, backbone, cuts=[option.num_frozen(_NUM_STAGES) for option in OPTIONS if option.depth])
    body.setdefault("prepare_s", round(time.perf_counter() - start, 2))
    if not _has_evidence(body):
        body["evidence"] = evidence(prepared)
        write_atomically(path, json.dumps(body, indent=1) + "\n")
    seen = [Evidence(**one["evidence"]) for one in body["evidence"]]
    for option in missing:
        body.setdefault("options", {})[option.name] = found = swept(option, prepared, seen)
        write_atomically(path, json.dumps(body, indent=1) + "\n")
        tested = " ".join(f"{run['test']:.3f}" for run in found["runs"])
        print(f"{task.name} {backbone} {option.name}: test {tested}, rate {found['rate']}", flush=True)
    return body


def is_complete(path: Path) -> bool:
    """Whether the file is there, with everything."""
    if not path.is_file():
        return False
    body: Results = json.loads(path.read_text(encoding="utf-8"))
    return _has_evidence(body) and all(_is_done(option, body) for option in OPTIONS)


def _is_done(option: Option, body: Results) -> bool:
    return "named" in body.get("options", {}).get(option.name, {})


def _has_evidence(body: Results) -> bool:
    return all("evidence" in seen for seen in body.get("evidence", [{}]))


def swept(option: Option, prepared: Prepared, seen: Sequence[Evidence]) -> dict[str, Any]:
    """On the first seed every rate is tried; the one that validates best, the lower of equals, serves all seeds.

    Besides, every seed has a run at the rate that the advice names for its evidence.
    """

    @cache
    def fitted(seed: int, rate: float | None) -> Fit:
        return fit(option, prepared, seed=seed, rate=rate)

    @cache
    def run(seed: int, rate: float | None) -> dict[str, float]:
        found = fitted(seed, rate)
        return {"val": found.val, "test": found.test(), "seconds": found.seconds}

    tried = {rate: fitted(0, rate) for rate in ((None,) if option.solved else _RATES)}
    best = max(tried, key=lambda rate: tried[rate].val)
    named = [rate_of(option, similar=is_similar(evidence)) for evidence in seen]
    return {
        "rate": best,
        "tried": {str(rate): {"val": found.val, "seconds": found.seconds} for rate, found in tried.items()},
        "runs": [run(seed, best) for seed in range(NUM_SEEDS)],
        "named": [{"rate": rate, **run(seed, rate)} for seed, rate in enumerate(named)],
    }
