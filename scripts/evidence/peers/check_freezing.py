"""Is frozen frozen: BatchNorm, weights, optimizer, and the identity of the parameters."""

from copy import deepcopy
from dataclasses import replace

import torch
from peer import NEVER, Answer, CannotDo, Job, Moment, Peer, Verdict, block_of, frozen_parameters, silent
from tiny import BATCHES, TinyNet, probe
from torch import Tensor


def frozen_batchnorm(peer: Peer, job: Job) -> Answer:
    """While frozen, statistics stand still, and the head sees in training what it will see in evaluation."""
    net = TinyNet()
    before = {name: b.clone() for name, b in net.named_buffers()}
    gaps: list[float] = []

    def watch(moment: Moment) -> None:
        if moment.when == "step":
            gaps.append(mode_gap(moment.net))

    peer.train(net, replace(job, epochs=1, thaw_at=NEVER), watch)
    moved = [name for name, b in net.named_buffers() if not torch.equal(b, before[name])]
    statistics = f"{len(moved)} of {len(before)} statistics move" if moved else "statistics unchanged"
    gap = max(gaps)
    output = "output as in eval mode" if gap == 0 else f"output differs from eval mode by up to {gap:.2g}"
    return Answer("yes" if not moved and gap == 0 else "no", f"{statistics}; {output}")


def mode_gap(net: TinyNet) -> float:
    """Largest difference of the backbone's output between the mode it is in now, and eval mode."""
    now, evaluated = deepcopy(net.backbone), deepcopy(net.backbone).eval()
    with torch.no_grad():
        gap: Tensor = (now(probe()) - evaluated(probe())).abs().max()
    return float(gap)


def frozen_weights(peer: Peer, job: Job) -> Answer:
    """Weight decay and momentum do not move weights before the thaw, nor after freezing them again."""
    first = _moved_before_thaw(peer, job)
    text = f"before the thaw {_kinds(first)}"
    try:
        second = _moved_after_refreeze(peer, replace(job, folder=job.folder / "refrozen"))
    except CannotDo as reason:
        return Answer("no" if first else "yes", f"{text}; freezing again: n/a ({reason})")
    verdict: Verdict = "yes" if not first and not second else "no" if first and second else "partly"
    return Answer(verdict, f"{text}; frozen again: {_kinds(second)}")


def _moved_before_thaw(peer: Peer, job: Job) -> set[str]:
    net, moved = TinyNet(), set[str]()
    before = _weights(net)

    def watch(moment: Moment) -> None:
        if moment.when == "end" and moment.epoch < 2:
            moved.update(_different(before, moment.net))

    peer.train(net, replace(job, epochs=3, thaw_at=2), watch)
    moved.update(n for n in _different(before, net) if block_of(n) not in peer.thawed_blocks)
    return moved


def _moved_after_refreeze(peer: Peer, job: Job) -> set[str]:
    net = TinyNet()
    before: dict[str, Tensor] = {}

    def watch(moment: Moment) -> None:
        if moment.when == "start" and moment.epoch == 2:
            before.update(_weights(moment.net))

    peer.train(net, replace(job, epochs=3, thaw_at=1, refreeze_at=2), watch)
    return _different(before, net)


def _weights(net: TinyNet) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in frozen_parameters(net).items()}


def _different(before: dict[str, Tensor], net: TinyNet) -> set[str]:
    return {name for name, p in frozen_parameters(net).items() if not torch.equal(p, before[name])}


def _kinds(moved: set[str]) -> str:
    """Names such as `backbone.1.0.weight`: layer 0 of a block is its convolution, layer 1 its BatchNorm."""
    kinds = {"0": "convolutions", "1": "BatchNorm weights"}
    kinds_moved = sorted({kinds[name.split(".")[2]] for name in moved}, reverse=True)
    return f"{' and '.join(kinds_moved)} move" if kinds_moved else "unchanged"


def optimizer_only_what_trains(peer: Peer, job: Job) -> Answer:
    """Before the thaw the optimizer holds no frozen parameter and keeps no state for one."""
    net = TinyNet()
    frozen = {id(p) for p in frozen_parameters(net).values()}
    held, stateful = set[int](), set[int]()

    def watch(moment: Moment) -> None:
        if moment.epoch < 2:
            held.update(frozen & set(moment.rates))
            stateful.update(frozen & moment.stateful)

    peer.train(net, replace(job, epochs=3, thaw_at=2), watch)
    words = f"holds {len(held)} of {len(frozen)} frozen parameters, state for {len(stateful)}"
    return Answer("yes" if not held and not stateful else "partly" if not stateful else "no", words)


def equal_twins(peer: Peer, job: Job) -> Answer:
    """Two blocks with equal initial weights both train once thawed, in one call and in a call each."""
    together = _still_twins(peer, job)
    text = f"thawed in one call: {_twin_words(together)}"
    try:
        apart = _still_twins(peer, replace(job, folder=job.folder / "apart", apart=True))
    except CannotDo as reason:
        return Answer("no" if together else "yes", f"{text}; in a call each: n/a ({reason})")
    verdict: Verdict = "yes" if not together and not apart else "no" if together and apart else "partly"
    return Answer(verdict, f"{text}; in a call each: {_twin_words(apart)}")


def _still_twins(peer: Peer, job: Job) -> list[str]:
    """Parameters of the thawed twins that did not move."""
    net = TinyNet(twins=True)
    before = _weights(net)
    peer.train(net, replace(job, epochs=2, thaw_at=1), silent)
    twins = [name for name in before if block_of(name) in (1, 2)]
    return [name for name in twins if name not in _different(before, net)]


def _twin_words(still: list[str]) -> str:
    return f"{len(still)} of 6 parameters never move ({still[0]}, ...)" if still else "both train"


def stable_names(peer: Peer, job: Job) -> Answer:
    """Names, identities and the state-dict keys are the same before the freeze, while frozen, and after the thaw."""
    net = TinyNet()
    before, seen = _identity(net), 0
    different: list[str] = []

    def watch(moment: Moment) -> None:
        nonlocal seen
        seen += 1
        if _identity(moment.net) != before:
            different.append(f"{moment.when} of epoch {moment.epoch}")

    peer.train(net, replace(job, epochs=2, thaw_at=1), watch)
    assert seen == 2 * (BATCHES + 2), seen
    if _identity(net) != before:
        different.append("after training")
    return Answer(
        "no" if different else "yes", f"differ at {different[0]}" if different else "keys and identities equal"
    )


def _identity(net: TinyNet) -> tuple[list[str], dict[str, int]]:
    return list(net.state_dict()), {name: id(p) for name, p in net.named_parameters()}
