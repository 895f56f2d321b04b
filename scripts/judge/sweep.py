"""One task and backbone: what the advisor sees, then every option, its rate chosen on validation, over the seeds."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from judge.evidence import evidence
from judge.fits import fit
from judge.prepared import NUM_SEEDS, Prepared, prepare
from judge.tasks import Task
from thawline.advisor.options import OPTIONS, RATES, Option
from thawline.report.atomic import write_atomically

Results = dict[
    str, Any
]  # "prepare_s", "evidence" per seed, "options": name -> {"rate", "tried", "runs" per seed, "named"}
_NUM_STAGES = 9  # of both backbones


def measure(task: Task, backbone: str, folder: Path) -> Results:
    """The results in `folder`, with what was missing measured; each option is written as soon as it is done."""
    path = folder / f"{task.name}_{backbone}.json"
    body: Results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    missing = [option for option in OPTIONS if option.name not in body.get("options", {})]
    if _has_evidence(body) and not missing:
        return body
    start = time.perf_counter()
    prepared = prepare(task, backbone, cuts=[option.num_frozen(_NUM_STAGES) for option in OPTIONS if option.depth])
    body.setdefault("prepare_s", round(time.perf_counter() - start, 2))
    if not _has_evidence(body):
        body["evidence"] = evidence(prepared)
        write_atomically(path, json.dumps(body, indent=1) + "\n")
    for option in missing:
        body.setdefault("options", {})[option.name] = found = _swept(option, prepared)
        write_atomically(path, json.dumps(body, indent=1) + "\n")
        tested = " ".join(f"{run['test']:.3f}" for run in found["runs"])
        print(f"{task.name} {backbone} {option.name}: test {tested}, rate {found['rate']}", flush=True)
    return body


def measure_named(task: Task, backbone: str, folder: Path, named: Mapping[str, Sequence[float]]) -> None:
    """Add runs of options at rates that the advisor names, over all seeds, to the results in `folder`."""
    path = folder / f"{task.name}_{backbone}.json"
    body: Results = json.loads(path.read_text(encoding="utf-8"))
    options = [option for option in OPTIONS if option.name in named]
    prepared = prepare(task, backbone, cuts=[option.num_frozen(_NUM_STAGES) for option in options if option.depth])
    for option in options:
        for rate in named[option.name]:
            fits = [fit(option, prepared, seed=seed, rate=rate) for seed in range(NUM_SEEDS)]
            runs = [{"val": run.val, "test": run.test(), "seconds": run.seconds} for run in fits]
            body["options"][option.name].setdefault("named", {})[str(rate)] = runs
            write_atomically(path, json.dumps(body, indent=1) + "\n")
            tested = " ".join(f"{run['test']:.3f}" for run in runs)
            print(f"{task.name} {backbone} {option.name}: test {tested}, rate {rate} as named", flush=True)


def is_complete(path: Path, options: Sequence[str]) -> bool:
    """Whether the file is there with all of these options."""
    if not path.is_file():
        return False
    body: Results = json.loads(path.read_text(encoding="utf-8"))
    return _has_evidence(body) and set(options) <= set(body.get("options", {}))


def _has_evidence(body: Results) -> bool:
    return all("evidence" in seen for seen in body.get("evidence", [{}]))


def _swept(option: Option, prepared: Prepared) -> dict[str, Any]:
    """On the first seed every rate is tried; the one that validates best, the lower of equals, serves all seeds."""
    tried = {rate: fit(option, prepared, seed=0, rate=rate) for rate in ((None,) if option.solved else RATES)}
    rate = max(tried, key=lambda r: tried[r].val)
    runs = [tried[rate], *(fit(option, prepared, seed=seed, rate=rate) for seed in range(1, NUM_SEEDS))]
    return {
        "rate": rate,
        "tried": {str(r): {"val": found.val, "seconds": found.seconds} for r, found in tried.items()},
        "runs": [{"val": run.val, "test": run.test(), "seconds": run.seconds} for run in runs],
    }
