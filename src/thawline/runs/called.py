"""scenario=auto in several processes: the first decides and solves, the others wait until it calls them to train.

torchrun and srun started the others at the same time: they hear it from the meeting. Lightning starts them for the rung
that trains: they read in the environment which rung that is.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from thawline.errors import UserError
from thawline.runs.composed import Composed, RunConfig, key_of
from thawline.runs.meeting import leaving_with_reason, meeting
from thawline.settings.trainer_settings import TrainerSettings

ALONE = ("trainer.devices=1", "trainer.num_nodes=1")
_CALL = "THAWLINE_RUNG"  # environment variable of processes that Lightning starts
_NO_CALL = ""
_LEAST_BATCH = 2  # images; of one, BatchNorm has no variance


@dataclass(frozen=True)
class Call:
    """A rung that trains, as every process composes it.

    Attributes:
        number: Of the rung, from 1.
        given: Overrides of the command line that chooses its candidate.
        more: Overrides that make it this rung.
    """

    name: str
    number: int
    given: tuple[str, ...]
    more: tuple[str, ...]

    @property
    def overrides(self) -> list[str]:
        return [*self.given, *self.more]

    def config(self, composed: Composed) -> RunConfig:
        return composed.with_overrides(self.given, self.more).read()


def without(given: Iterable[str], others: Iterable[str]) -> list[str]:
    """Overrides but those of a key that `others` set."""
    keys = {key_of(other) for other in others}
    return [override for override in given if key_of(override) not in keys]


def shared_batch(trainer: TrainerSettings, *, batch_size: int) -> tuple[str, ...]:
    """The override that makes the batches of all processes together those of one."""
    if trainer.num_processes == 1:
        return ()
    return (f"data.batch_size={max(_LEAST_BATCH, batch_size // trainer.num_processes)}",)


@contextlib.contextmanager
def called(call: Call, trainer: TrainerSettings) -> Iterator[None]:
    """Around a rung that all train; where it fails in the first process, the others do not wait for it."""
    if trainer.num_processes == 1:
        yield
        return
    text = json.dumps(asdict(call))
    os.environ[_CALL] = text
    try:
        with leaving_with_reason():
            if (others := meeting()) is not None:
                others.next_word_of_first(text)
            yield
    finally:
        del os.environ[_CALL]


def wait_for_call() -> Call | None:
    """In all processes but the first; None where the run ends without them.

    Raises:
        UserError: The first process failed, or shows no sign of life.
    """
    others = meeting()
    text = os.environ[_CALL] if others is None else others.next_word_of_first(_NO_CALL)
    if text == _NO_CALL:
        assert others is not None
        others.wait_for_all()
        return None
    body = json.loads(text)
    return Call(body["name"], body["number"], tuple(body["given"]), tuple(body["more"]))


@contextlib.contextmanager
def others_let_go() -> Iterator[None]:
    """After the block, which the first process runs, those that were not called end too."""
    with leaving_with_reason():
        yield
        if (others := meeting()) is not None and not others.ended:
            with contextlib.suppress(UserError):  # the run is complete, whatever became of those that waited
                others.next_word_of_first(_NO_CALL)
                others.wait_for_all()
