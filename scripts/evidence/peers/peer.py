"""What a peer must offer to be checked: train the tiny net as a job says, and report what it sees on the way.

An adapter module holds `PEER`, an object of the protocol `Peer`. It trains the way the peer's documentation shows and
decides nothing about the answers: the checks read the facts from the moments.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tiny import BATCHES, TinyNet
from torch import nn

Verdict = Literal["yes", "partly", "no", "n/a", "crash"]
Schedule = Literal["OneCycle", "cosine", "lambda", "plateau"]
HEAD_RATE, BACKBONE_RATE = 0.05, 0.005  # chosen: ten to one, which is also the default of two of the peers
MOMENTUM, WEIGHT_DECAY = 0.9, 0.1
PLATEAU_FACTOR = 0.5
NEVER = 1000  # an epoch that no job reaches


class CannotDo(Exception):
    """The peer has no way to do what the job asks; the message says what is missing."""


@dataclass(frozen=True)
class Job:
    """One training: SGD with momentum and weight decay, the head from epoch 0, blocks of the backbone from `thaw_at`.

    Attributes:
        folder: Where the run may write; nothing else writes there.
        thaw_at: First epoch in which the blocks `Peer.thawed_blocks` train; NEVER keeps the backbone frozen.
        refreeze_at: First epoch in which the whole backbone is frozen again.
        apart: Thaw the blocks by one call (or phase) each instead of by one call for all, in the same epoch.
        schedule: Of the learning rate over all steps of the job; None keeps it constant.
        averaging: Add the peer's stochastic weight averaging from epoch 1.
        processes: Number of processes; with 2, this process is one of them, `rank` its number, and torchrun's
            environment variables are set.
        keep_checkpoints: Write a checkpoint after every epoch.
        resume: Continue from this checkpoint; "last" asks the peer to find its own latest one.
        setting: One of `Peer.settings` for the check at hand, or "" for the defaults of the documentation.
    """

    folder: Path
    epochs: int = 2
    thaw_at: int = 1
    refreeze_at: int = NEVER
    apart: bool = False
    schedule: Schedule | None = None
    averaging: bool = False
    processes: int = 1
    rank: int = 0
    keep_checkpoints: bool = False
    resume: Path | Literal["last"] | None = None
    setting: str = ""

    @property
    def steps(self) -> int:
        return self.epochs * BATCHES


@dataclass(frozen=True)
class Moment:
    """What holds at one point of the training.

    Attributes:
        when: `start`: the epoch's freezing and thawing is done, no batch is. `step`: gradients are there, the
            optimizer is about to step with the rates of this moment. `end`: the epoch's last step is done.
        epoch: Counted over the whole job, from 0, also where the peer counts phases.
        rates: id of every parameter in the optimizer -> its learning rate.
        stateful: ids of the parameters for which the optimizer keeps a tensor.
    """

    when: Literal["start", "step", "end"]
    epoch: int
    net: TinyNet
    rates: Mapping[int, float]
    stateful: frozenset[int]


Watch = Callable[[Moment], None]


class Peer(Protocol):
    """An adapter.

    Attributes:
        title: Head of the column.
        distributions: Installed distributions whose versions are recorded.
        thawed_blocks: Blocks of the backbone that a thaw lets train.
        settings: Check -> settings that are tried besides the defaults, each named as a user would write it.
    """

    title: str
    distributions: Sequence[str]
    thawed_blocks: Sequence[int]
    settings: Mapping[str, Sequence[str]]

    def train(self, net: TinyNet, job: Job, watch: Watch) -> None:
        """Train `net` in place, calling `watch` at every moment.

        Raises:
            CannotDo: The peer lacks what the job asks for.
        """

    def checkpoint(self, job: Job, epochs: int) -> Path:
        """The file that `train` wrote after `epochs` epochs of a job with `keep_checkpoints`."""

    def schedule_factor(self, schedule: Schedule, job: Job) -> list[float] | None:
        """Per step, the rate that the peer's own schedule should give, over its base; None: torch's formula."""


@dataclass(frozen=True)
class Answer:
    """Outcome of a check: yes is what a user would wish for."""

    verdict: Verdict
    observed: str


def silent(moment: Moment) -> None:
    """A watch that looks at nothing."""


def frozen_parameters(net: TinyNet) -> dict[str, nn.Parameter]:
    """The backbone's parameters by name: what a frozen backbone must not train."""
    return {name: p for name, p in net.named_parameters() if name.startswith("backbone.")}


def block_of(name: str) -> int:
    """Index of the block that a parameter or buffer named `backbone.<block>...` lies in."""
    return int(name.split(".")[1])


def first_line(error: BaseException) -> str:
    """`Type: message`, cut to one line that fits a table."""
    text = str(error).strip().splitlines()
    line = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    return line if len(line) <= 110 else line[:107] + "..."
