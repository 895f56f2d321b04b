"""Replace a part of a model by an identity for a while."""

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def set_aside(model: nn.Module, part: nn.Module | None) -> Iterator[None]:
    """Inside the block `nn.Identity` replaces `part` wherever `model` holds it; None changes nothing."""
    holders = [
        (module, name)
        for module in model.modules()
        for name, child in module.named_children()
        if part is not None and child is part
    ]
    try:
        for module, name in holders:
            setattr(module, name, nn.Identity())
        yield
    finally:
        for module, name in holders:
            setattr(module, name, part)
