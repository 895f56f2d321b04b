"""What goes on behind the freezing's back: weight averaging, and a callback that changes a frozen weight."""

from dataclasses import replace
from pathlib import Path

import torch
from peer import NEVER, Answer, CannotDo, Job, Moment, Peer, first_line, silent
from tiny import BATCHES_SEEN, TinyNet
from torch.nn import BatchNorm2d

TEXT = {".json", ".yaml", ".yml", ".csv", ".txt", ".log", ".md"}


def refuses_swa(peer: Peer, job: Job) -> Answer:
    """Weight averaging, which resets every BatchNorm, is refused where a BatchNorm is frozen."""
    net, begun = TinyNet(), list[int]()
    job = replace(job, epochs=3, thaw_at=NEVER, averaging=True)
    before = {name: b.clone() for name, b in net.named_buffers()}
    _control(peer, replace(job, averaging=False))
    try:
        peer.train(net, job, lambda moment: begun.append(moment.epoch))
    except CannotDo:
        raise
    except Exception as error:
        return Answer("no" if begun else "yes", f"raises {first_line(error)}")
    seen = [int(m.num_batches_tracked) for m in net.modules() if isinstance(m, BatchNorm2d) and m.num_batches_tracked]
    moved = [name for name, b in net.named_buffers() if not torch.equal(b, before[name])]
    if not moved:
        return Answer("yes", "not refused, but the statistics of the frozen BatchNorm stay")
    reset = f"the counters of batches seen go from {BATCHES_SEEN} to {max(seen)}" if seen else "counters go to 0"
    return Answer("no", f"accepted; {len(moved)} of {len(before)} BatchNorm buffers change, {reset}")


def guard(peer: Peer, job: Job) -> Answer:
    """A frozen weight that something changes in mid-training is noticed, and what was frozen is on record."""
    net = TinyNet()

    def tamper(moment: Moment) -> None:
        if moment.when == "end" and moment.epoch == 0:
            with torch.no_grad():
                next(moment.net.blocks[0].parameters()).add_(0.01)

    job = replace(job, epochs=2, thaw_at=NEVER, keep_checkpoints=True)
    _control(peer, job)
    try:
        peer.train(net, job, tamper)
        noticed = ""
    except Exception as error:
        noticed = first_line(error)
    record = records(job.folder) or records(job.folder.with_name("control"))  # a run that was stopped proves nothing
    words = f"noticed: {noticed}" if noticed else "not noticed"
    written = (
        f"{', '.join(record)} names backbone parameters" if record else "no text file of the run names the backbone"
    )
    return Answer("yes" if noticed and record else "partly" if noticed or record else "no", f"{words}; {written}")


def _control(peer: Peer, job: Job) -> None:
    """The job runs through without what is to be refused or noticed: else an error would prove nothing."""
    peer.train(TinyNet(), replace(job, folder=job.folder.with_name("control")), silent)


def records(folder: Path) -> list[str]:
    """Text files under the run's folder that name a part of the backbone."""
    files = (f for f in sorted(folder.rglob("*")) if f.suffix in TEXT)
    return [file.name for file in files if "backbone" in file.read_text(errors="replace")]
