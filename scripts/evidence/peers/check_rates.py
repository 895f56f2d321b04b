"""Schedulers and a thaw in the middle: does training go on, and does the thawed group follow the formula?"""

from collections.abc import Callable
from dataclasses import replace
from statistics import mean

import torch
from peer import PLATEAU_FACTOR, Answer, CannotDo, Job, Moment, Peer, Schedule, Verdict, first_line
from tiny import BATCHES, TinyNet
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

SCHEDULES: tuple[Schedule, ...] = ("OneCycle", "cosine", "lambda", "plateau")
EPOCHS, THAW_AT = 6, 3
TOLERANCE = 1e-4  # relative; a rate that does not follow is off by tens of percent
BY_STEP: dict[Schedule, Callable[[torch.optim.Optimizer, int], LRScheduler]] = {
    "OneCycle": lambda optimizer, steps: OneCycleLR(
        optimizer, max_lr=[group["lr"] for group in optimizer.param_groups], total_steps=steps
    ),
    "cosine": lambda optimizer, steps: CosineAnnealingLR(optimizer, T_max=steps),
    "lambda": lambda optimizer, steps: LambdaLR(optimizer, lambda step: 1 / (1 + step)),
}


def plateau(optimizer: torch.optim.Optimizer) -> ReduceLROnPlateau:
    """Halves the rates after every epoch but the first: the peers monitor a metric that never improves."""
    return ReduceLROnPlateau(optimizer, factor=PLATEAU_FACTOR, patience=0)


def torch_factor(schedule: Schedule, job: Job) -> list[float]:
    """Per step, the rate over its base, by a fresh scheduler on a group that was there from the start."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    by_epoch = plateau(optimizer) if schedule == "plateau" else None
    by_step = None if schedule == "plateau" else BY_STEP[schedule](optimizer, job.steps)
    factors = []
    for step in range(job.steps):
        factors.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if by_step:
            by_step.step()
        elif by_epoch and (step + 1) % BATCHES == 0:
            by_epoch.step(1.0)
    return factors


def schedulers(peer: Peer, job: Job) -> Answer:
    """Every schedule, with a thaw half-way."""
    verdicts: list[Verdict] = []
    words = []
    for schedule in SCHEDULES:
        verdict, text = _one(peer, schedule, replace(job, folder=job.folder / schedule))
        verdicts.append(verdict)
        words.append(f"{schedule}: {text}")
    asked = [v for v in verdicts if v != "n/a"]
    good = asked.count("yes")
    return Answer("yes" if good == len(asked) else "partly" if good or "partly" in asked else "no", "; ".join(words))


def _one(peer: Peer, schedule: Schedule, job: Job) -> tuple[Verdict, str]:
    job = replace(job, epochs=EPOCHS, thaw_at=THAW_AT, schedule=schedule)
    net = TinyNet()
    thawed = {id(p) for i in peer.thawed_blocks for p in net.blocks[i].parameters()}
    rates: list[set[float]] = []

    def watch(moment: Moment) -> None:
        if moment.when == "step":
            rates.append({rate for key, rate in moment.rates.items() if key in thawed})

    try:
        peer.train(net, job, watch)
    except CannotDo as reason:
        return "n/a", str(reason)
    except Exception as error:
        step = f"at step {len(rates)} of {job.steps}" if rates else "before training"
        return "no", f"{step} raises {first_line(error)}"
    peers_formula = peer.schedule_factor(schedule, job)
    verdict, text = _compare(rates, peers_formula or torch_factor(schedule, job), start=THAW_AT * BATCHES)
    return verdict, f"{text} its own formula" if peers_formula and verdict == "yes" else text


def _compare(rates: list[set[float]], expected: list[float], *, start: int) -> tuple[Verdict, str]:
    """Compare the thawed rates with the formula, both relative to the first step after the thaw, or to the second."""
    assert len(rates) == len(expected), (len(rates), len(expected))
    after, factors = [mean(of_step) for of_step in rates[start:]], expected[start:]
    if _proportional(after, factors):
        return "yes", "follows"
    if _proportional(after[1:], factors[1:]):
        return "partly", f"follows after one step at {after[0]:.2g}, which is {_off(after, factors):.2g} times too high"
    wanted = after[0] * factors[-1] / factors[0]
    if max(after) - min(after) <= TOLERANCE * max(after):
        return "no", f"the thawed rate stays {after[0]:.2g}, the formula ends at {wanted:.2g}"
    return "no", f"the thawed rate ends at {after[-1]:.2g}, the formula at {wanted:.2g}"


def _proportional(rates: list[float], factors: list[float]) -> bool:
    wanted = [rates[0] * factor / factors[0] for factor in factors]
    return all(abs(rate - want) <= TOLERANCE * abs(want) for rate, want in zip(rates, wanted, strict=True))


def _off(rates: list[float], factors: list[float]) -> float:
    """How far the first rate lies above what the second one implies."""
    return rates[0] / (rates[1] * factors[0] / factors[1])
