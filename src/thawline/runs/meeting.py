"""Processes of a run tell each other what they do: before they train, and while they share a pass over the images.

Those that torchrun or srun started agree, before they share a process group, on the folder of the run: each composes
its config by itself, with its own time in the folder's name. They meet at the address at which the process group is
made later, torchrun's own store or one that the first process holds.

Words through a store need no process group, and a process that is lost is noticed. What a training run computes
together, once it has its group, goes through `machine/collectives.py`.
"""

import contextlib
import functools
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.lsf import LSFEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from thawline.errors import UserError, first_line
from thawline.machine.processes import Place, this_process

_WAIT_S = 60.0  # for the first word of another process; chosen: importing torch takes seconds, from a slow disk 30
_BEAT_S = 3.0  # between two signs of life
_DEAD_S = 40.0  # without one; chosen: ten missed, and all is told within a minute
_POLL_S = 0.05
_LOOK_S = 1.0  # between two looks at the others; below 5 s, after which Lightning kills all where one has failed
_FAILED, CANNOT_WRITE = "failed", "cannot write"  # why a process leaves
_ENVIRONMENTS: dict[str, Callable[[], ClusterEnvironment]] = {
    "torchrun": TorchElasticEnvironment,
    "srun": SLURMEnvironment,
    "jsrun": LSFEnvironment,
    "lightning": LightningEnvironment,
}


class Meeting:
    """What the processes of a run tell each other, and whether they live, until `end`.

    Args:
        store: Holds what they say, as text by key.
    """

    def __init__(self, store: Any, place: Place, *, wait_s: float = _WAIT_S, dead_s: float = _DEAD_S) -> None:
        self._store, self._place, self._wait_s, self._dead_s = store, place, wait_s, dead_s
        self._over = threading.Event()
        self._step = 0  # of those that all take
        self._looked = time.monotonic()
        self._seen = dict.fromkeys(range(place.world_size), (-1, self._looked))
        threading.Thread(target=self._beat, args=(store.clone(),), daemon=True).start()

    @property
    def rank(self) -> int:
        return self._place.rank

    @property
    def size(self) -> int:
        return self._place.world_size

    @property
    def ended(self) -> bool:
        """Whether it gives no sign of life any more."""
        return self._over.is_set()

    def word_of_first(self, name: str, value: str) -> str:
        """`value` of the first process.

        Raises:
            UserError: It did not say one in time.
        """
        if self.rank == 0:
            self._store.set(name, value)
            return value
        try:
            self._store.wait([name], timedelta(seconds=self._wait_s))
            return str(self._store.get(name).decode())
        except RuntimeError as error:
            raise UserError(
                f"process {self.rank} of {self.size} heard nothing from process 0 within "
                f"{self._wait_s:.0f} s; its output says why. Start all processes at the same time"
            ) from error

    def next_word_of_first(self, value: str) -> str:
        """`value` of the first process, which is waited for as long as it lives; raises what `gather` does."""
        self._step += 1
        name = f"step{self._step}"
        with self._store_is_there():
            if self.rank == 0:
                self._store.set(name, value)
            self._wait_for({0: name})
            return str(self._store.get(name).decode())

    def gather(self) -> None:
        """Until every process has come here. Nothing is read afterwards: the process with the store may end it then.

        Raises:
            OSError: One cannot write.
            UserError: One failed, or shows no sign of life.
        """
        with self._store_is_there():
            self._come("")

    def words_of_all(self, value: str) -> list[str]:
        """The `value` of every process, by rank; raises what `gather` does. The store has to live on."""
        with self._store_is_there():
            return [str(self._store.get(key).decode()) for key in self._come(value)]

    def _come(self, value: str) -> list[str]:
        """Say `value`, and wait for all; the keys of what they said, by rank."""
        self._step += 1
        self._store.set(f"step{self._step}/{self.rank}", value)
        keys = {rank: f"step{self._step}/{rank}" for rank in range(self.size)}
        self._wait_for(keys)
        return list(keys.values())

    def look_around(self) -> None:
        """Raise what `gather` would, at most once in `_LOOK_S`; call it often."""
        if time.monotonic() - self._looked > _LOOK_S:
            self._looked = time.monotonic()
            with self._store_is_there():
                self._look_at(self._seen)

    def wait_for_all(self) -> None:
        """`gather`, then `end`."""
        try:
            self.gather()
        finally:
            self.end()

    def end(self) -> None:
        """Give no sign of life any more."""
        self._over.set()

    def leave(self, reason: str, *, kind: str = _FAILED) -> None:
        """Tell those that wait that this process will not come; nothing after `end`.

        Args:
            kind: `CANNOT_WRITE` where it goes on without what they wait for.
        """
        if not self._over.is_set():
            self._over.set()
            with contextlib.suppress(RuntimeError):  # nobody is there to hear it
                self._store.set(f"{kind}/{self.rank}", reason)

    def _wait_for(self, keys: Mapping[int, str]) -> None:
        missing = dict(keys)
        while missing := {rank: key for rank, key in missing.items() if not self._store.check([key])}:
            self._look_at(missing)
            time.sleep(_POLL_S)

    def _look_at(self, ranks: Iterable[int]) -> None:
        """Raises if one left, or did not give a sign of life for too long."""
        for rank in ranks:
            self._refuse_gone(rank)
            now, heard = time.monotonic(), int(self._store.add(f"beats/{rank}", 0))
            beats, since = self._seen[rank]
            if heard != beats:
                self._seen[rank] = heard, now
            elif now - since > self._dead_s:
                raise UserError(
                    f"process {rank} of {self.size} shows no sign of life for {self._dead_s:.0f} s; its output says why"
                )

    def _refuse_gone(self, rank: int) -> None:
        for kind, error in ((_FAILED, UserError), (CANNOT_WRITE, OSError)):
            if rank != self.rank and self._store.check([f"{kind}/{rank}"]):
                reason = self._store.get(f"{kind}/{rank}").decode()
                raise error(f"process {rank} of {self.size} {kind}: {reason}")

    @contextlib.contextmanager
    def _store_is_there(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # the process that held the store is gone
            raise UserError("another process of this run ended; its output says why") from error

    def _beat(self, store: Any) -> None:
        while not self._over.is_set():
            try:
                store.add(f"beats/{self.rank}", 1)
            except RuntimeError:  # nobody is there to hear it
                return
            self._over.wait(_BEAT_S)


@functools.cache
def meeting() -> Meeting | None:
    """The meeting of this run's processes; None where there is one process, or Lightning starts the others.

    Raises:
        UserError: The others cannot be reached.
    """
    place = this_process()
    if not place.outside or place.world_size == 1:
        return None
    return _meet(place, "start")


def meet_for_pass(name: str, *, devices: int) -> Meeting:
    """Of processes that share a process group already, whoever started them.

    Args:
        name: Of the pass; no other of this command has it.
        devices: Processes on each machine.
    """
    return _meet(this_process(devices=devices), f"pass/{name}")


def _meet(place: Place, what: str) -> Meeting:
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # torchrun's store outlives the processes
    return Meeting(PrefixStore(f"thawline/{attempt}/{what}", _store(place)), place)


def _store(place: Place) -> TCPStore:
    """That of torchrun's agent; without one, the first process holds it, and later the process group takes it over."""
    try:
        environment = _ENVIRONMENTS[place.launcher]()
        address, port = environment.main_address, environment.main_port
    except (RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"{place.launcher}: {error}") from error
    holds = place.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    try:
        return TCPStore(
            address, port, is_master=holds, timeout=timedelta(seconds=_WAIT_S), wait_for_workers=False,
            multi_tenant=True,
        )  # fmt: skip
    except RuntimeError as error:
        raise UserError(
            f"process {place.rank} of {place.world_size} cannot reach process 0 at {address}, port {port}; "
            "see MASTER_ADDR and MASTER_PORT, and start all processes at the same time"
        ) from error


@contextlib.contextmanager
def leaving_with_reason() -> Iterator[None]:
    """Where the block fails before all processes are ready, the others learn why."""
    try:
        yield
    except BaseException as error:
        if (others := meeting()) is not None:
            others.leave(first_line(error))
        raise
