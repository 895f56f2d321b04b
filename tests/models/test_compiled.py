"""What is compiled computes the same; what cannot be compiled goes on, and says so once."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from thawline.models.compiled import Compiled


def test_a_compiler_sees_the_function_and_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Callable[..., Any]] = []

    def compile_it(run: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        seen.append(run)
        return run

    monkeypatch.setattr(torch, "compile", compile_it)
    double = Compiled(lambda x: 2 * x)
    assert double(3) == 6
    assert len(seen) == 1


def test_where_compiling_fails_it_goes_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(run: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        def fail(*args: Any) -> Any:
            raise RuntimeError("no C++ compiler\nwas found")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    double = Compiled(lambda x: 2 * x)
    assert [double(3), double(4)] == [6, 8]
    assert [record.message for record in caplog.records] == ["Compiling failed (no C++ compiler); going on without."]
