"""What the processes of a training run compute once or add up, by collectives of their process group.

With one process, nothing is sent. Before each the processes wait for each other as `signs_of_life.py` does, so that one
that is lost or stopped is told within a minute. Before there is a group they meet in `runs/meeting.py`.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.distributed_c10d import _get_default_store

from thawline.errors import LINE_PRINTED, UserError, first_line
from thawline.machine.processes import Place
from thawline.machine.signs_of_life import Meeting

_T = TypeVar("_T")
_of_group: dict[str, tuple[Any, Meeting]] = {}  # "now": the store of the process group, and who meets there


def computed_by_first(make: Callable[[], _T]) -> _T:
    """What `make` gives in the first process, in all of them; the others wait for it, and do not call theirs.

    Raises:
        UserError: `make` raised it, in all processes, and only the first tells it; or a process failed, or shows no
            sign of life.
    """
    if not _several():
        return make()
    said: list[Any] = [None, None]
    failure: UserError | None = None
    with _others() as others:
        try:
            if others.rank == 0:
                said = [make(), None]
        except UserError as error:
            failure, said = error, [None, str(error)]
        others.gather()
        dist.broadcast_object_list(said)
    if said[1] is not None:
        failure = failure or UserError(said[1])
        setattr(failure, LINE_PRINTED, others.rank != 0)
        raise failure
    value: _T = said[0]
    return value


def only_first(make: Callable[[], _T]) -> _T | None:
    """As `computed_by_first`, and the others get None."""
    made: list[_T] = []
    computed_by_first(lambda: made.append(make()))
    return made[0] if made else None


def summed_over_processes(sums: Sequence[Tensor]) -> None:
    """Add up, in place, the sums of processes that have a share of the rows each; nothing where there is one process.

    All processes hold the same sums afterwards, so that each solves for the same probes.
    """
    if not _several():
        return
    _wait_for_all()
    for mine in sums:
        total = mine.to("cuda" if dist.get_backend() == "nccl" else mine.device)  # NCCL adds on a GPU only
        dist.all_reduce(total)
        mine.copy_(total)


def rows_of_all(mine: Tensor) -> Tensor:
    """The rows (N, ...) of which each process has every `size`-th, from its rank on; in all processes, in order."""
    shares = of_all(mine)
    rows = torch.cat(shares)
    for rank, share in enumerate(shares):
        rows[rank :: len(shares)] = share
    return rows


def of_all(mine: _T) -> list[_T]:
    """What each process gives, in all of them, by rank."""
    if not _several():
        return [mine]
    _wait_for_all()
    shares: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(shares, mine)
    return shares


def begin_signs_of_life() -> None:
    """From here on the others see that this process lives; in all processes, as soon as they have their group."""
    if _several():
        _meeting()


@contextlib.contextmanager
def _others() -> Iterator[Meeting]:
    """While a process waits for others here, it notices where one fails, is lost, or is stopped.

    A collective of the process group would wait for half an hour.
    """
    others = _meeting()
    try:
        yield others
    except BaseException as error:
        others.leave(first_line(error))
        raise


def _meeting() -> Meeting:
    """Of the processes of the group that there is now; words go through the store of the group."""
    store = _get_default_store()
    if (begun := _of_group.get("now")) is None or begun[0] is not store:
        if begun is not None:
            begun[1].end()
        place = Place(rank=dist.get_rank(), world_size=dist.get_world_size())
        # A later group of the first process may have the same store; the others may be new, so that it says which.
        number = [store.add("thawline/groups", 1) if place.rank == 0 else 0]
        dist.broadcast_object_list(number)
        begun = _of_group["now"] = store, Meeting(PrefixStore(f"thawline/group/{number[0]}", store.clone()), place)
    return begun[1]


def _wait_for_all() -> None:
    with _others() as others:
        others.gather()


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
