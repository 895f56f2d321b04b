"""python scripts/compare.py from the command line."""

import runpy
import sys
from pathlib import Path

import pytest
from made_up import depth_sweep

ROOT = Path(__file__).resolve().parents[2]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["compare.py", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / "scripts" / "compare.py"), run_name="__main__")
    return int(stop.value.code or 0)


def test_table_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    runs = depth_sweep(tmp_path / "runs")
    (runs / "half").mkdir()
    (runs / "half" / "run.json").write_text("{")
    files = {kind: tmp_path / f"report.{kind}" for kind in ("html", "csv", "markdown")}
    options = [part for kind, path in files.items() for part in (f"--{kind}", path)]
    assert run(monkeypatch, runs, "--baseline", runs / "0_0", *options) == 0
    out = capsys.readouterr().out
    assert "unfreeze_depth=2" in out
    assert "+0.100 (+0.100 to +0.100)" in out
    assert "left out: 1 records" in out
    assert all(path.stat().st_size > 200 for path in files.values())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere",), "nowhere: no such file or folder"),
        ((".", "--metric", "f1"), "--metric f1: no run has it"),
        ((".", "--baseline", "x"), "--baseline x: not among the runs compared"),
        ((".", "--html", "missing/report.html"), "cannot write"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...],
    says: str,
) -> None:  # fmt: skip
    depth_sweep(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
