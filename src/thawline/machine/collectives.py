"""What the processes of a training run compute once or add up, by collectives of their process group.

With one process, nothing is sent. Before there is a group, and in work so long that a process may be lost meanwhile,
the processes exchange words through the store of `runs/meeting.py` instead.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from thawline.errors import LINE_PRINTED, UserError

_T = TypeVar("_T")


def computed_by_first(make: Callable[[], _T]) -> _T:
    """What `make` gives in the first process, in all of them; the others wait for it, and do not call theirs.

    Raises:
        UserError: `make` raised it; in all processes, and only the first tells it.
    """
    if not _several():
        return make()
    said: list[Any] = [None, None]
    try:
        if dist.get_rank() == 0:
            said = [make(), None]
    except UserError as error:
        said = [None, str(error)]
        dist.broadcast_object_list(said)
        raise
    dist.broadcast_object_list(said)
    if said[1] is not None:
        failed = UserError(said[1])
        setattr(failed, LINE_PRINTED, True)
        raise failed
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
    shares: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(shares, mine)
    return shares


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
