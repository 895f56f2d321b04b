"""The Dockerfile names things that exist, and its command serves. It cannot be built here: there is no Docker."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from thawline.commands.command_list import COMMANDS

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs" / "docker" / "Dockerfile"
_KINDS = {"FROM", "ARG", "ENV", "RUN", "COPY", "USER", "EXPOSE", "HEALTHCHECK", "CMD"}


def instructions() -> list[tuple[str, str]]:
    """(kind, the rest) of each line that is no comment."""
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return [(kind, rest) for kind, _, rest in (line.partition(" ") for line in lines)]


def of_kind(kind: str) -> list[str]:
    return [rest for word, rest in instructions() if word == kind]


def test_each_line_is_an_instruction_and_the_user_is_not_root() -> None:
    kinds = [kind for kind, _ in instructions()]
    assert set(kinds) == _KINDS
    assert kinds[0] == "FROM"
    assert kinds.index("USER") < kinds.index("CMD")
    assert of_kind("USER") == ["server"]
    assert "useradd --create-home server" in of_kind("RUN")


def test_what_is_copied_exists_and_is_all_that_the_build_needs() -> None:
    copied = set()
    for rest in of_kind("COPY"):
        *sources, target = rest.split()
        if sources[0] == "--from=model":
            assert (sources[1:], target) == (["."], "/model")
            continue
        assert target.startswith("/thawline/")
        assert all((ROOT / source).exists() for source in sources)
        copied |= set(sources)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    needed |= {path.split("/")[0] for path in project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]}
    assert needed == copied


def test_what_is_installed_is_an_extra_of_the_project() -> None:
    (extra,) = {match[1] for rest in of_kind("RUN") if (match := re.search(r"/thawline\[(\w+)\]", rest))}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert extra in project["optional-dependencies"]
    python = re.fullmatch(r"python:(3\.\d+)-slim", of_kind("FROM")[0])
    assert python is not None
    assert f">={python[1]}" in project["requires-python"] or python[1] in ("3.11", "3.12", "3.13")


@pytest.mark.slow
def test_the_commands_serve_and_tell_that_they_are_healthy(made: Callable[[str], Path]) -> None:
    program, command, model, *options = json.loads(of_kind("CMD")[0])
    assert (program, model) == ("thawline", "/model")
    assert command in COMMANDS
    assert options[:2] == ["--host", "0.0.0.0"]  # from outside the container
    assert options[2:] == ["--port", *of_kind("EXPOSE")]
    start = [sys.executable, "-m", "thawline", command, str(made("stacked_probe") / "model")]
    server = subprocess.Popen([*start, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = next(filter(None, (re.search(r"http://\S+", line) for line in server.stdout)))[0]
        check = json.loads(of_kind("HEALTHCHECK")[0].partition("CMD ")[2])
        check[0], check[2] = sys.executable, check[2].replace("http://127.0.0.1:8000", address)
        assert subprocess.run(check).returncode == 0
        server.send_signal(signal.SIGTERM)  # docker stop
        assert server.wait(60) == 0
        assert subprocess.run(check, stderr=subprocess.DEVNULL).returncode != 0
    finally:
        server.kill()
        server.wait()
