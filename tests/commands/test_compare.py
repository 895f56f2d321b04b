"""python scripts/compare.py from the command line."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from made_up import depth_sweep, write_run

ROOT = Path(__file__).resolve().parents[2]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object, columns: int = 200) -> int:
    monkeypatch.setattr(sys, "argv", ["compare.py", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", str(columns))
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
    assert "left out: 1\n  half: " in out
    assert "total, s fit, s" in out
    assert "frozen: verified in every run" in out
    assert all(path.stat().st_size > 200 for path in files.values())


def test_the_table_fits_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    depth_sweep(tmp_path)
    for strategy in ("gradual_unfreezing", "full_fine_tune"):
        settings = {"strategy.name": strategy}
        broken = {"verified": False, "checks": 3, "frozen_stages": 7}
        write_run(tmp_path / strategy, depth=0, seed=0, accuracy=0.5, settings=settings, freeze=broken)
    assert run(monkeypatch, tmp_path, columns=80) == 0
    out = capsys.readouterr().out
    assert "strategy=gradual_unfreezing" in out  # no word is broken
    assert "10.0*" in out
    assert "total" not in out  # there is no room for the whole time
    assert max(map(len, out.splitlines()[:-2])) <= 80  # the last two lines are sentences
    assert "strategy=full_fine_tune unfreeze_depth=0: BROKEN" in out


def test_a_reader_that_has_read_enough_is_no_error(tmp_path: Path) -> None:
    depth_sweep(tmp_path)
    command = [sys.executable, str(ROOT / "scripts" / "compare.py"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere",), "nowhere: no such file or folder"),
        ((".", "--metric", "f1"), "--metric f1: no run has it"),
        ((".", "--baseline", "x"), "--baseline x: not among the runs compared"),
        ((".", "--html", "missing/report.html"), "cannot write missing/report.html: No such file"),
        ((".", "--html", "runs"), "--html runs: is a folder; put the PATHs first, or name the file to write"),
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
