"""Processes of a run tell each other what they do: before they train, and while they share a pass over the images.

Those that torchrun or srun started agree, before they share a process group, on the folder of the run: each composes
its config by itself, with its own time in the folder's name. They meet at the address at which the process group is
made later, torchrun's own store or one that the first process holds.

How they speak is in `machine/signs_of_life.py`. What a training run computes together, once it has its group, goes
through `machine/collectives.py`.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.lsf import LSFEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from thawline.errors import UserError, first_line
from thawline.machine.processes import Place, this_process
from thawline.machine.signs_of_life import FIRST_WORD_S, Meeting

_ENVIRONMENTS: dict[str, Callable[[], ClusterEnvironment]] = {
    "torchrun": TorchElasticEnvironment,
    "srun": SLURMEnvironment,
    "jsrun": LSFEnvironment,
    "lightning": LightningEnvironment,
}


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
    place = replace(this_process(devices=devices), rank=dist.get_rank(), world_size=dist.get_world_size())
    return _meet(place, f"pass/{name}")


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
            address, port, is_master=holds, timeout=timedelta(seconds=FIRST_WORD_S), wait_for_workers=False,
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
