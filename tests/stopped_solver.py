"""`train.py`, but the first process is stopped, as by a debugger or a scheduler, while it solves for all."""

import os
import signal
import sys

from thawline.commands.train import main
from thawline.training import head_solver


def stopped(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    head_solver.fit_logistic = stopped  # type: ignore[assignment]
    sys.exit(main())
