"""Processes that torchrun or srun started agree, before they share a process group, on the folder of the run.

Each composes its config by itself, with its own time in the folder's name. They meet at the address at which the
process group is made later, torchrun's own store or one that the first process holds.
"""

import contextlib
import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lsf import LSFEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from thawline.errors import UserError, first_line
from thawline.machine.processes import Place, this_process

_WAIT_S = 60.0  # for the first word of another process; chosen: importing torch takes seconds, from a slow disk 30
_BEAT_S = 3.0  # between two signs of life
_DEAD_S = 40.0  # without one; chosen: ten missed, and all is told within a minute
_POLL_S = 0.2
_ENVIRONMENTS: dict[str, Callable[[], ClusterEnvironment]] = {
    "torchrun": TorchElasticEnvironment,
    "srun": SLURMEnvironment,
    "jsrun": LSFEnvironment,
}


class Meeting:
    """What the processes of a run tell each other until all are ready to train.

    Args:
        store: Holds what they say, as text by key.
    """

    def __init__(self, store: Any, place: Place, *, wait_s: float = _WAIT_S, dead_s: float = _DEAD_S) -> None:
        self._store, self._place, self._wait_s, self._dead_s = store, place, wait_s, dead_s
        self._over = threading.Event()
        threading.Thread(target=self._beat, args=(store.clone(),), daemon=True).start()

    def word_of_first(self, name: str, value: str) -> str:
        """`value` of the first process.

        Raises:
            UserError: It did not say one in time.
        """
        if self._place.rank == 0:
            self._store.set(name, value)
            return value
        try:
            self._store.wait([name], timedelta(seconds=self._wait_s))
            return str(self._store.get(name).decode())
        except RuntimeError as error:
            raise UserError(
                f"process {self._place.rank} of {self._place.world_size} heard nothing from process 0 within "
                f"{self._wait_s:.0f} s; its output says why. Start all processes at the same time"
            ) from error

    def wait_for_all(self) -> None:
        """Until every process is ready to train.

        Raises:
            UserError: One failed, or shows no sign of life.
        """
        self._store.set(f"ready/{self._place.rank}", "")
        seen = {rank: (-1, time.monotonic()) for rank in range(self._place.world_size)}
        try:
            while seen:
                seen = {rank: self._alive(rank, *seen[rank]) for rank in seen if not self._is_ready(rank)}
                time.sleep(_POLL_S if seen else 0)
        except RuntimeError as error:  # the process that held the store is gone
            raise UserError("another process of this run ended; its output says why") from error
        finally:
            self._over.set()

    def leave(self, reason: str) -> None:
        """Tell those that wait that this process will not come."""
        if not self._over.is_set():
            self._over.set()
            try:
                self._store.set(f"failed/{self._place.rank}", reason)
            except RuntimeError:  # nobody is there to hear it
                return

    def _is_ready(self, rank: int) -> bool:
        return bool(self._store.check([f"ready/{rank}"]))

    def _alive(self, rank: int, beats: int, since: float) -> tuple[int, float]:
        """Signs of life of a process so far, and when the last was heard."""
        if self._store.check([f"failed/{rank}"]):
            reason = self._store.get(f"failed/{rank}").decode()
            raise UserError(f"process {rank} of {self._place.world_size} failed: {reason}")
        now, heard = time.monotonic(), int(self._store.add(f"beats/{rank}", 0))
        if heard == beats and now - since > self._dead_s:
            raise UserError(
                f"process {rank} of {self._place.world_size} shows no sign of life for {self._dead_s:.0f} s; "
                "its output says why"
            )
        return (heard, now) if heard != beats else (beats, since)

    def _beat(self, store: Any) -> None:
        while not self._over.is_set():
            try:
                store.add(f"beats/{self._place.rank}", 1)
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
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # torchrun's store outlives the processes
    return Meeting(PrefixStore(f"thawline/{attempt}", _store(place)), place)


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
def leaving_told() -> Iterator[None]:
    """Where the block fails before all processes are ready, the others learn why."""
    try:
        yield
    except BaseException as error:
        if (together := meeting()) is not None:
            together.leave(first_line(error))
        raise
