"""Keep other libraries' banners off the terminal; their warnings about training stay."""

import contextlib
import logging
import warnings
from collections.abc import Iterator

_CHATTY = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
_EXPECTED = (
    r".*does not have many workers.*",  # the number of workers is chosen from the cores
    r".*number of training batches.*logging interval.*",
    r".*module\(s\) in eval mode at the start of training.*",  # frozen stages, on purpose
    r".*Checkpoint directory .* exists and is not empty.*",  # a resumed run goes on in its own
    r".*LeafSpec.*is deprecated.*",  # Lightning's own use of torch
    r".*`validation_step` but have no `val_dataloader`.*",  # scripts/evidence validates afterwards
    r".*Precision bf16-mixed is not supported by the model summary.*",
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide Lightning's information lines and the warnings that this project causes on purpose."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for pattern in _EXPECTED:
                warnings.filterwarnings("ignore", message=pattern)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
