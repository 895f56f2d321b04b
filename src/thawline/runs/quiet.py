"""Keep other libraries' banners off the terminal; their warnings about training stay."""

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator
from typing import Any

_CHATTY = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
_TENSORBOARD_THREAD = "_AsyncWriterThread"  # a class of tensorboard.summary.writer.event_file_writer
_EXPECTED = (
    r".*does not have many workers.*",  # the number of workers is chosen from the cores
    r".*`persistent_workers=True` in 'test_dataloader'.*",  # the test is one pass; Lightning says so beside spawn
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
    levels, excepthook = [logger.level for logger in loggers], threading.excepthook
    threading.excepthook = _thread_error
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
        threading.excepthook = excepthook


def _thread_error(arguments: Any) -> None:
    """TensorBoard's thread hands its error on to who writes next, and need not print it."""
    if type(arguments.thread).__name__ != _TENSORBOARD_THREAD:
        threading.__excepthook__(arguments)
