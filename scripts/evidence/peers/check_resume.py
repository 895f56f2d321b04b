"""Interrupted runs: resuming before, at and after the thaw; and asking for a checkpoint that is not there."""

from dataclasses import replace

import torch
from peer import Answer, CannotDo, Job, Moment, Peer, Verdict, first_line, silent
from tiny import TinyNet

EPOCHS, THAW_AT = 4, 2
Flags = dict[int, dict[str, bool]]  # epoch -> name -> requires_grad
Run = tuple[Flags, TinyNet]
WHERE = {1: "before", 2: "at", 3: "after"}  # epochs done when the run stopped -> where the thaw was


class Killed(Exception):
    """Ends a run between two epochs, after the checkpoint of the first was written."""


def resume(peer: Peer, job: Job) -> Answer:
    """Stop after every epoch and continue in the same folder; flags and final weights equal the uninterrupted run."""
    job = replace(job, epochs=EPOCHS, thaw_at=THAW_AT, keep_checkpoints=True)
    whole = _run(peer, replace(job, folder=job.folder / "whole"), seed=0)
    again = _difference(whole, _run(peer, replace(job, folder=job.folder / "again"), seed=0), done=0)
    assert not again, f"two uninterrupted runs differ ({again}): nothing can be said about resumed ones"
    differences = {
        done: _resumed(peer, replace(job, folder=job.folder / f"stopped_{done}"), whole, done) for done in WHERE
    }
    words = [f"{where} the thaw: {differences[done] or 'equal'}" for done, where in WHERE.items()]
    bad = sum(bool(text) for text in differences.values())
    return Answer("yes" if not bad else "no" if bad == len(differences) else "partly", "; ".join(words))


def _resumed(peer: Peer, job: Job, whole: Run, done: int) -> str:
    """What differs after a stop at the start of epoch `done`; empty if nothing."""
    try:
        _run(peer, job, seed=0, stop_at=done)
    except Killed:
        pass
    else:
        raise AssertionError("the run was not stopped: its exception did not come through")
    checkpoint = peer.checkpoint(job, done)
    assert checkpoint.is_file(), checkpoint
    try:
        return _difference(whole, _run(peer, replace(job, resume=checkpoint), seed=1), done=done)
    except Exception as error:
        return f"raises {first_line(error)}"


def _run(peer: Peer, job: Job, *, seed: int, stop_at: int | None = None) -> Run:
    """Train; another seed than the first run's shows that the weights come from the checkpoint."""
    net, flags = TinyNet(seed=seed), Flags()

    def watch(moment: Moment) -> None:
        if moment.when == "start":
            if moment.epoch == stop_at:
                raise Killed(f"before epoch {stop_at}")
            flags[moment.epoch] = {name: p.requires_grad for name, p in moment.net.named_parameters()}

    peer.train(net, job, watch)
    return flags, net


def _difference(whole: Run, other: Run, *, done: int) -> str:
    """What differs from epoch `done` on; empty if nothing."""
    if missing := [epoch for epoch in range(done, EPOCHS) if epoch not in other[0]]:
        return f"epoch {missing[0]} is not trained"
    flags = {
        name for epoch in range(done, EPOCHS) for name, flag in whole[0][epoch].items() if other[0][epoch][name] != flag
    }
    weights, statistics = dict(whole[1].named_parameters()), dict(whole[1].named_buffers())
    gap = max(float((weights[n] - p).detach().abs().max()) for n, p in other[1].named_parameters())
    moved = [name for name, b in other[1].named_buffers() if not torch.equal(b, statistics[name])]
    differences = [f"{len(flags)} requires_grad flags"] if flags else []
    differences += [f"weights (by up to {gap:.2g})"] if gap else []
    differences += ["BatchNorm statistics"] if moved else []
    return f"{' and '.join(differences)} differ" if differences else ""


def missing_checkpoint(peer: Peer, job: Job) -> Answer:
    """A checkpoint that is not there, by its path and as `last`, is an error and not a fresh start."""
    peer.train(TinyNet(), replace(job, folder=job.folder / "control"), silent)  # else an error would prove nothing
    path = job.folder / "not_there" / "nothing.ckpt"
    explicit = _refusal(peer, replace(job, folder=job.folder / "explicit", resume=path))
    last = _refusal(peer, replace(job, folder=job.folder / "last", resume="last"))
    asked = [text for text in (explicit, last) if not text.startswith("n/a")]
    refused = sum(text.startswith("raises") for text in asked)
    verdict: Verdict = "yes" if refused == len(asked) else "partly" if refused else "no"
    return Answer(verdict, f"missing path {explicit}; `last` with nothing there {last}")


def _refusal(peer: Peer, job: Job) -> str:
    epochs = []
    try:
        peer.train(TinyNet(), job, lambda moment: epochs.append(moment.epoch))
    except CannotDo as reason:
        return f"n/a ({reason})"
    except Exception as error:
        return f"raises {first_line(error).replace(str(job.folder.parent), '...')}"
    return f"trains {len(set(epochs))} epochs from scratch"
