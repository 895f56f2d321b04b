"""What the runs must have left: each check on its own, so that one failure does not hide the others."""

import functools
import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpu.jobs import Job
from gpu.runs import PRECISIONS, VERIFIED, Runs

# Largest distance of two runs' trained weights, as a share of the way that training moved them. Chosen from the
# arithmetic: convolutions in fp32 run as TF32 on a GPU (unit roundoff 2^-11, 0.0005), in bf16 it is 2^-9, 0.002; ten
# times the one and the twenty-fivefold of the other leave room for the steps that follow from a rounding.
# Where the same run twice lies further apart than that, _NOISE times this distance is allowed.
_TOLERANCE = {"32-true": 0.005, "bf16-mixed": 0.05}
_NOISE = 3.0
_LARGEST_LOSS_RATIO = 1.02  # of the validation losses; chosen
_LAST_LINES = 12
_CHANCE_FACTOR = 3  # a trained model is right so many times as often as one that guesses; chosen


@dataclass(frozen=True)
class Result:
    """What a check gave; `report` is a number or the last lines of an error."""

    name: str
    passed: bool
    report: str


Check = Callable[[Runs], str]  # returns what to tell; raises where something is wrong


def check_all(runs: Runs, jobs: Mapping[str, Job]) -> list[Result]:
    """Every check whose jobs are among `jobs`, in the order of the list below."""
    made = {name: (needs, check) for name, (needs, check) in _checks().items() if set(needs) <= set(jobs)}
    return [_result(name, needs, check, runs, jobs) for name, (needs, check) in made.items()]


def _result(name: str, needs: tuple[str, ...], check: Check, runs: Runs, jobs: Mapping[str, Job]) -> Result:
    bad = [job for job in (jobs[need] for need in needs) if not job.is_good]
    if bad:
        return Result(name, False, f"{bad[0].name}: exit code {bad[0].code}\n{bad[0].last_lines}")
    try:
        return Result(name, True, check(runs))
    except Exception:
        return Result(name, False, "\n".join(traceback.format_exc().strip().splitlines()[-_LAST_LINES:]))


def _checks() -> dict[str, tuple[tuple[str, ...], Check]]:
    """Per name: the jobs it needs, and what it looks at."""
    checks: dict[str, tuple[tuple[str, ...], Check]] = {}
    for name in ("feature_extraction", "multi_layer_probe", "stacked_probe", "lbfgs"):
        checks[name] = (name,), functools.partial(completed, name=name, cached=True)
    for name in ("full_fine_tune", "gradual_unfreezing", "lp_ft", "mixup", "blend", "auto"):
        checks[name] = (name,), functools.partial(completed, name=name)
    for name in ("ema", "l2_sp"):
        checks[name] = (name,), functools.partial(completed, name=name, cached=True)
    checks["wise_ft with the cache"] = ("wise_ft",), functools.partial(completed, name="wise_ft", cached=True)
    checks["compile=true"] = ("compile",), compiled
    for precision in PRECISIONS:
        kinds = ("partial_cached", "partial_images", "partial_images_again")
        needs = ("start", *(f"{kind}_{precision}" for kind in kinds))
        checks[f"cached equals not cached, {precision}"] = needs, functools.partial(same_weights, precision=precision)
    checks["precision of the runs"] = ("full_32", "full_fine_tune"), precisions
    checks["resumed equals uninterrupted"] = ("start", "whole", "whole_again", "resumed"), resumed
    exact = ("whole_exact", "whole_again_exact", "resumed_exact")
    checks["resumed bit for bit, deterministic"] = exact, resumed_exactly
    for name in VERIFIED:
        checks[f"certificate of {name}"] = (f"verify_{name}",), functools.partial(certificate, name=name)
    checks["sweep of two at once"] = ("sweep",), sweep
    checks["scripts/advise.py"] = ("advise",), lambda runs: "exit code 0"
    checks["scripts/compare.py"] = ("compare",), lambda runs: "exit code 0"
    checks["tests/test_gpu.py"] = ("pytest",), lambda runs: "exit code 0"
    return checks


def completed(runs: Runs, *, name: str, cached: bool | None = None) -> str:
    """The record of a good run on this device."""
    record = runs.record(name)
    assert record["status"] == "completed", record.get("error")
    assert record["freeze"]["verified"] is True, record["freeze"]
    assert record["machine"]["device"] == device_name(), record["machine"]
    assert record["cost"]["peak_memory_bytes"] > 0, record["cost"]
    if cached is not None:
        assert record["cache"]["used"] is cached, record["cache"]
    numbers = {**record["metrics"], "images_per_s": record["cost"]["images_per_s"]}
    assert all(value is not None and math.isfinite(value) for value in numbers.values()), numbers
    accuracy = record["metrics"]["test/accuracy"]
    least = _CHANCE_FACTOR / record["data"]["num_classes"]
    assert runs.quick or accuracy >= least, f"test accuracy {accuracy:.3f}, chance times {_CHANCE_FACTOR}: {least:.3f}"
    return f"test accuracy {accuracy:.3f}, {record['machine']['precision']}, {record['cost']['wall_s']:.0f} s"


def compiled(runs: Runs) -> str:
    """Nothing fell back to running as it is."""
    log = (runs.where("compile") / "train.log").read_text(encoding="utf-8")
    assert "Compiling failed" not in log, log
    return completed(runs, name="compile")


def precisions(runs: Runs) -> str:
    """32-true where it was asked for; by itself bf16 where there is a GPU."""
    asked, automatic = (runs.record(name)["machine"] for name in ("full_32", "full_fine_tune"))
    completed(runs, name="full_32")
    assert (asked["precision"], asked["prefix_precision"]) == ("32-true", "float32"), asked
    assert not torch.cuda.is_available() or automatic["precision"] == "bf16-mixed", automatic
    return f"asked for 32-true: {asked['precision']}; auto: {automatic['precision']}"


def same_weights(runs: Runs, *, precision: str) -> str:
    """Training from stored activations ends where training from the images ends."""
    names = [f"{kind}_{precision}" for kind in ("partial_cached", "partial_images", "partial_images_again")]
    records = [runs.record(name) for name in names]
    assert [record["cache"]["used"] for record in records] == [True, False, False]
    report = _near(runs, *names, tolerance=_TOLERANCE[precision])
    losses = [record["metrics"]["test/loss"] for record in records[:2]]
    assert max(losses) <= _LARGEST_LOSS_RATIO * min(losses), losses
    return f"{report}; test loss {losses[0]:.4f} and {losses[1]:.4f}"


def resumed(runs: Runs) -> str:
    """A run that was killed and resumed ends where the uninterrupted one ends, within the noise of the device."""
    return _near(runs, "cut", "whole", "whole_again", tolerance=_TOLERANCE["32-true"])


def resumed_exactly(runs: Runs) -> str:
    """With deterministic algorithms, and as two uninterrupted runs: bit for bit."""
    cut, whole, again = (weights(runs, f"{name}_exact") for name in ("cut", "whole", "whole_again"))
    for other, words in ((again, "two whole runs differ"), (cut, "the resumed run differs")):
        different = [name for name in whole if not torch.equal(whole[name], other[name])]
        assert not different, f"{words} in {len(different)} of {len(whole)} tensors: {different[:3]}"
    return f"{len(whole)} tensors are equal"


def certificate(runs: Runs, *, name: str) -> str:
    """`verify_freeze.py` ended with 0; the guard compared, and more than once."""
    freeze = runs.record(name)["freeze"]
    assert freeze["checks"] > 1, freeze
    return f"{freeze['frozen_stages']} frozen stages, {freeze['checks']} checks of the guard"


def sweep(runs: Runs) -> str:
    """Both jobs are completed."""
    paths = sorted((runs.folder / "runs" / "sweep").rglob("freeze.json"))
    assert len(paths) == 2, paths
    return f"{len(paths)} runs"


def device_name() -> str:
    """As run.json names it."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def weights(runs: Runs, name: str) -> dict[str, Tensor]:
    """Parameters and buffers of the last checkpoint."""
    body = torch.load(runs.where(name) / "checkpoints" / "last.ckpt", weights_only=True, map_location="cpu")
    state: dict[str, Tensor] = body["state_dict"]
    return state


def _near(runs: Runs, name: str, other: str, again: str, *, tolerance: float) -> str:
    """Compare the weights of two runs; `again` repeats `other`, and tells how far the same run lies from itself."""
    start, a, b, c = (weights(runs, each) for each in ("start", name, other, again))
    gap, noise = distance(a, b, start), distance(c, b, start)
    allowed = max(tolerance, _NOISE * noise)
    report = f"distance {gap:.1e} of the way that training moved, the same run twice {noise:.1e}, allowed {allowed:.1e}"
    assert gap <= allowed, report
    return report


def distance(a: dict[str, Tensor], b: dict[str, Tensor], start: dict[str, Tensor]) -> float:
    """||a - b|| / ||b - start|| over the tensors of numbers that training moved, weights and running statistics."""
    names = [name for name in b if b[name].is_floating_point() and not torch.equal(b[name], start[name])]
    apart = sum(float((a[name] - b[name]).double().square().sum()) for name in names)
    moved = sum(float((b[name] - start[name]).double().square().sum()) for name in names)
    return math.sqrt(apart / moved)


def summary(results: list[Result]) -> dict[str, Any]:
    """For the JSON file."""
    return {result.name: {"passed": result.passed, "told": result.report} for result in results}
