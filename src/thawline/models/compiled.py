"""Compile a function with inductor, torch's compiler. If that fails (there may be no C++ compiler), run it as it is."""

import logging
from collections.abc import Callable
from typing import Any

import torch

from thawline.errors import first_line

_log = logging.getLogger(__name__)


class Compiled:
    """Compiles `run` for the shapes of its first call. After a failure it logs one line and calls `run` as it is.

    Args:
        fold_weights: Make the weights constants of the code, for a `run` that never trains.
    """

    def __init__(self, run: Callable[..., Any], *, fold_weights: bool = False) -> None:
        self._run = run
        self._compiled: Callable[..., Any] | None = _through_inductor(run, fold_weights=fold_weights)

    def __call__(self, *args: Any) -> Any:
        if self._compiled is not None:
            try:
                return self._compiled(*args)
            except Exception as error:  # compiler back ends raise errors of any type
                _log.warning("Compiling failed (%s); going on without.", first_line(error))
                self._compiled = None
        return self._run(*args)


def _through_inductor(run: Callable[..., Any], *, fold_weights: bool) -> Callable[..., Any]:
    import torch._inductor.config as inductor

    compiled = torch.compile(run, dynamic=False)

    def call(*args: Any) -> Any:
        with inductor.patch(freezing=fold_weights):
            return compiled(*args)

    return call
