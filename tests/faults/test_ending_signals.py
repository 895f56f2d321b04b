"""Signals that end a run in order."""

import signal

import pytest

from thawline.machine.sigterm import Terminated, ended_by_sigterm, signal_of


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_block_with_its_name_and_its_exit_code(signum: signal.Signals, code: int) -> None:
    before = signal.signal(signum, signal.SIG_DFL)
    try:
        with pytest.raises(Terminated) as stop, ended_by_sigterm():
            signal.raise_signal(signum)
        assert (stop.value.code, signal_of(stop.value)) == (code, signum.name)
        assert signal.getsignal(signum) == signal.SIG_DFL
    finally:
        signal.signal(signum, before)


def test_a_closed_terminal_ends_the_run_in_order_but_not_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with ended_by_sigterm():
            signal.raise_signal(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with pytest.raises(Terminated), ended_by_sigterm():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
