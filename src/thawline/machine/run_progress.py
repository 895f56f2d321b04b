"""How far a run is, and what its process holds: enough to explain its end, where it does not end well."""

import os
import socket
from dataclasses import dataclass, field
from datetime import datetime, timezone

from thawline.machine.memory import available_memory, peak_resident_bytes, resident_bytes

PREPARING = "preparing"


@dataclass
class Progress:
    """The state when the record was written: at the end of the run, and where it was killed, at an epoch boundary.

    Attributes:
        doing: A word such as training, testing; empty in a record of before, and once the run is complete.
        epoch, epochs: The epoch that began last, from 1, 0 before the first; and how many are planned.
        step: Optimizer steps taken.
        signal: Name of what ended the run.
        started, at: When its process began, and when this was written; UTC, ISO 8601.
        host, process, threads: Name of the machine, number of the main process, threads of torch.
        memory_bytes, peak_memory_bytes: Of the main process in RAM, now and at most since the training began.
        available_memory_bytes: What the machine has left, and at most the limit of the container.
        gpu_memory_bytes, gpu_peak_memory_bytes: The same of the tensors on a GPU.
    """

    doing: str = ""
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    signal: str | None = field(default=None, metadata={"optional": True})
    started: str = ""
    at: str = ""
    host: str = ""
    process: int = 0
    threads: int = 0
    memory_bytes: int = 0
    peak_memory_bytes: int = 0
    available_memory_bytes: int = 0
    gpu_memory_bytes: int | None = field(default=None, metadata={"optional": True})
    gpu_peak_memory_bytes: int | None = field(default=None, metadata={"optional": True})

    @property
    def where(self) -> str:
        """As part of a sentence, with a space before it; empty where it is not known.

        >>> Progress("training", epoch=2, epochs=3, step=7).where, Progress("preparing").where, Progress().where
        (' while training, in epoch 2 of 3, at step 7', ' while preparing', '')
        """
        epoch = f", in epoch {self.epoch} of {self.epochs}, at step {self.step}" if self.epoch else ""
        return f" while {self.doing}{epoch}" if self.doing else ""

    @property
    def memory(self) -> str:
        """What the process held, in words."""
        now, most, left = self.memory_bytes / 1e9, self.peak_memory_bytes / 1e9, self.available_memory_bytes / 1e9
        gpu = f", on the GPU {self.gpu_peak_memory_bytes / 1e9:.1f} GB at most" if self.gpu_peak_memory_bytes else ""
        return f"{now:.1f} GB of memory, {most:.1f} GB at most{gpu}, {left:.1f} GB left"

    def measure(self) -> None:
        """Note the time, the process and its memory as they are now."""
        import torch  # a reader of records does without

        self.at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.started = self.started or self.at
        self.host, self.process, self.threads = socket.gethostname(), os.getpid(), torch.get_num_threads()
        self.memory_bytes, self.peak_memory_bytes = resident_bytes(), peak_resident_bytes()
        self.available_memory_bytes = available_memory()
        if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            self.gpu_memory_bytes = int(torch.cuda.memory_allocated())
            self.gpu_peak_memory_bytes = int(torch.cuda.max_memory_allocated())
