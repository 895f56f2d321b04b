"""Log lines follow sys.stdout."""

import io
import logging

import pytest

from thawline.commands.log_lines import StdoutHandler


def test_lines_go_to_the_stdout_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    handler, later = StdoutHandler(), io.StringIO()
    monkeypatch.setattr("sys.stdout", later)  # as a live display does
    handler.emit(logging.makeLogRecord({"msg": "epoch 1"}))
    assert later.getvalue() == "epoch 1\n"
