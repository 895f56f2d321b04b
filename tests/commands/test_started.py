"""How a process was started decides what its messages say and how its jobs start."""

import os
import sys
from pathlib import Path

import pytest

from thawline.commands import started
from thawline.commands.started import absolute_config_path, how_started, hydra_options, program_file, read_names_as_utf8
from thawline.invocation import Invocation


@pytest.mark.parametrize("script", ["train.py", "scripts/predict.py"])
def test_a_script_of_a_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    monkeypatch.chdir(tmp_path)
    for given in (script, f"{tmp_path}/{script}"):
        started = how_started([given, "-m", "seed=0"], module=None)
        assert started == Invocation(None, (sys.executable, given))
        assert started.typed("train") == "python train.py"
        assert started.typed("verify_freeze") == "python scripts/verify_freeze.py"


@pytest.mark.parametrize("script", ["train.py", "scripts/predict.py"])
def test_a_script_of_a_clone_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    """There is no scripts/ in the current folder; jobs still start with the script."""
    monkeypatch.chdir(tmp_path)
    started = how_started([f"/clone/{script}", "seed=0"], module=None)
    assert started == Invocation("thawline", (sys.executable, f"/clone/{script}"))
    assert started.typed("inspect_images") == "thawline inspect-images"


def test_the_installed_command(tmp_path: Path) -> None:
    program = tmp_path / "thawline"
    program.touch()
    started = how_started([str(program), "seed=0", "--config-dir", "mine"], module=None)
    assert started == Invocation("thawline", (sys.executable, str(program), "--config-dir", "mine"))
    assert started.typed("train") == "thawline"
    assert started.typed("verify_freeze") == "thawline verify-freeze"


def test_the_module_is_not_started_by_its_path() -> None:
    """By its path the package's own folder would come first on sys.path."""
    started = how_started(["/somewhere/thawline/__main__.py", "seed=0"], module="thawline.__main__")
    assert started == Invocation("python -m thawline", (sys.executable, "-m", "thawline"))
    assert started.typed("compare") == "python -m thawline compare"


def test_without_a_file_the_module_starts_the_jobs() -> None:
    assert how_started(["-c"], module=None) == Invocation("thawline", (sys.executable, "-m", "thawline"))


def test_the_ending_that_windows_takes_off_is_put_back(tmp_path: Path) -> None:
    (tmp_path / "thawline.exe").touch()
    assert program_file(str(tmp_path / "thawline")) == str(tmp_path / "thawline.exe")
    assert program_file(str(tmp_path / "train.py")) == str(tmp_path / "train.py")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["-m", "-cd", "mine", "seed=0"], ["--config-dir", "mine"]),
        (["--config-dir=mine", "--config-name", "train"], ["--config-name", "train", "--config-dir", "mine"]),
        (["-m", "seed=0"], []),
    ],
)
def test_jobs_find_the_same_configs(given: list[str], kept: list[str]) -> None:
    assert hydra_options(given) == kept


def test_a_config_path_is_seen_from_the_current_folder() -> None:
    here = os.getcwd()
    assert absolute_config_path(["-cp", "mine", "seed=0"]) == ["-cp", os.path.join(here, "mine"), "seed=0"]
    assert absolute_config_path(["--config-path=mine"]) == [f"--config-path={os.path.join(here, 'mine')}"]
    assert absolute_config_path(["-cp", "pkg://mine"]) == ["-cp", "pkg://mine"]
    assert absolute_config_path(["seed=0", "-cp"]) == ["seed=0", "-cp"]


STARTED_AS = [
    (["python", "train.py", "seed=0"], ["train.py", "seed=0"], True),
    (["python", "/bin/thawline", "predict", "RUN"], ["/bin/thawline", "RUN"], True),  # the command's name is read
    (["python", "-m", "thawline", "predict"], ["/x/thawline/__main__.py"], True),
    (["python", "-m", "ipykernel_launcher", "-f", "k.json"], ["train.py"], False),  # a notebook's `%run train.py`
]


@pytest.mark.parametrize(("process", "arguments", "again"), STARTED_AS)
@pytest.mark.parametrize("names", ["ascii", "iso8859-1", "utf-8"])
def test_names_of_files_are_utf8_whatever_the_locale(
    monkeypatch: pytest.MonkeyPatch, process: list[str], arguments: list[str], again: bool, names: str
) -> None:
    calls: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: names)
    monkeypatch.setattr(sys, "orig_argv", process)
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(started.os, "execve", lambda *call: calls.append(call))
    read_names_as_utf8()
    assert len(calls) == (again and names != "utf-8")
    for program, command, environment in calls:
        assert command == [program, "-X", "utf8=1", *process[1:]]
        assert environment["PYTHONUTF8"] == "1"  # for the processes that it starts
        assert environment["PYTHONIOENCODING"].endswith(":backslashreplace")
