"""Count the bytes that autograd keeps for the backward pass."""

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


@contextlib.contextmanager
def count_saved_bytes(parameters: Iterable[torch.nn.Parameter]) -> Iterator[list[int]]:
    """Count the bytes that autograd keeps for the backward pass inside the block.

    A storage counts once, even if several tensors share it. Parameters do not count, because they exist anyway.

    Yields:
        A list of one number, complete when the block ends.
    """
    counted = {p.untyped_storage().data_ptr() for p in parameters}
    total = [0]

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in counted:
            counted.add(storage.data_ptr())
            total[0] += storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield total
