"""`train.py` with a slow pass over the images, in which the second process fails after two batches as FAILS says.

Every process appends a line for each batch to the file COUNTS.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thawline.commands.train import main
from thawline.errors import UserError
from thawline.features import fill
from thawline.machine.processes import this_process

PAUSE_S = 0.1
outputs_in_order = fill.outputs_in_order


def failing(*arguments: Any, **more: Any) -> Iterator[Any]:
    for number, outputs in enumerate(outputs_in_order(*arguments, **more), start=1):
        yield outputs
        with Path(os.environ["COUNTS"]).open("a", encoding="utf-8") as counts:
            counts.write(f"{this_process(devices=2).rank}\n")
        time.sleep(PAUSE_S)
        if number == 2 and this_process(devices=2).rank == 1:
            fail(os.environ.get("FAILS"))


def fail(how: str | None) -> None:
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "full":
        raise OSError("no space left on device")
    if how == "image":
        raise UserError("x.png: cannot be read")


if __name__ == "__main__":
    fill.outputs_in_order = failing  # type: ignore[assignment]
    sys.exit(main())
