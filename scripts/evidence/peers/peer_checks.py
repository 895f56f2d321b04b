"""The checks in the order of the table, and how one is run: with the defaults, then with every setting to try."""

import logging
import os
import tempfile
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch
from check_freezing import equal_twins, frozen_batchnorm, frozen_weights, optimizer_only_what_trains, stable_names
from check_processes import two_processes
from check_rates import schedulers
from check_resume import missing_checkpoint, resume
from check_safety import guard, refuses_swa
from peer import Answer, CannotDo, Job, Peer, Verdict, first_line

Check = Callable[[Peer, Job], Answer]
CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        frozen_batchnorm,
        frozen_weights,
        optimizer_only_what_trains,
        equal_twins,
        schedulers,
        resume,
        two_processes,
        stable_names,
        refuses_swa,
        guard,
        missing_checkpoint,
    )
}


def load_peer(name: str) -> Peer:
    """The adapter in the module `name`.

    Raises:
        ModuleNotFoundError: The peer is not installed.
    """
    peer: Peer = import_module(name).PEER
    return peer


def quiet() -> None:
    """Keep the peers' own output out of the table's."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    os.environ["PYTHONWARNINGS"] = "ignore"  # for the processes of `two_processes`
    torch.set_num_threads(1)


def run_check(name: str, peer: Peer) -> Answer:
    """Run one check.

    Where the defaults say no and a setting says yes the answer is partly: a user can have it, and must know how.
    """
    check = CHECKS[name]
    default = _attempt(check, peer, "")
    verdict: Verdict = default.verdict
    words = [default.observed]
    for setting in peer.settings.get(name, ()):
        answer = _attempt(check, peer, setting)
        new = [part for part in answer.observed.split("; ") if part not in default.observed.split("; ")]
        words.append(f"with `{setting}`: {'; '.join(new) or 'the same'}")
        if verdict == "no" and answer.verdict != "no":
            verdict = "partly"
    return Answer(verdict, "; ".join(words))


def _attempt(check: Check, peer: Peer, setting: str) -> Answer:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return check(peer, Job(folder=Path(folder) / "run", setting=setting))
        except CannotDo as reason:
            return Answer("n/a", str(reason))
        except Exception as error:
            return Answer("crash", first_line(error))
