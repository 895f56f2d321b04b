"""The wheel, installed into a folder of its own and used from an empty one: nothing of the clone is needed."""

import json
import os
import shlex
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ("data=digits", "data.source.num_images=60", "data.augment=none", "data.num_workers=0")
DIGITS += ("model.image_size=32", "trainer.accelerator=cpu")
MODEL = ("model.name=test_resnet", "model.weights=none")
RUN = ("data.batch_size=4", "trainer.max_steps=2")
TINY = (*DIGITS, *RUN, *MODEL)
# Run at the start of every Python that finds it: what an editable install of a clone put on the path is taken off.
NO_CLONE = """
import os, sys
mine = os.path.dirname(__file__)
sys.path[:] = [p for p in sys.path if p == mine or not os.path.isfile(os.path.join(p, "thawline", "__init__.py"))]
"""
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]  # they share the wheel


def python(*arguments: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=300,
        env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel."""
    folder = tmp_path_factory.mktemp("built")
    python("-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", folder, cwd=ROOT)
    return folder


@dataclass
class Installed:
    """A folder that holds the wheel's files, and one to work in."""

    folder: Path
    work: Path

    def python(self, *arguments: object) -> str:
        return python(*arguments, cwd=self.work, PYTHONPATH=str(self.folder), COLUMNS="160")

    def thawline(self, *arguments: object) -> str:
        """Run the console script."""
        return self.python(self.folder / "bin" / "thawline", *arguments)

    def records(self, below: str) -> list[tuple[Path, dict[str, Any]]]:
        """Folder and content of every run.json."""
        paths = sorted((self.work / "outputs" / below).rglob("run.json"))
        return [(path.parent, json.loads(path.read_text())) for path in paths]


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("environment") / "site"
    (wheel,) = built.glob("*.whl")
    python("-m", "pip", "install", "--no-deps", "--no-index", "--target", folder, wheel, cwd=built)
    (folder / "sitecustomize.py").write_text(NO_CLONE)
    return Installed(folder, tmp_path_factory.mktemp("empty"))


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def test_the_sdist_builds_the_same_wheel_and_it_carries_the_configs_and_the_launcher(
    built: Path, tmp_path: Path
) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    python("-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "again", cwd=unpacked)
    (first,), (second,) = built.glob("*.whl"), (tmp_path / "again").glob("*.whl")
    assert content(first) == content(second)
    configs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "conf").rglob("*.yaml")}
    assert {f"thawline/{path}" for path in configs} | {"hydra_plugins/thawline_launcher.py"} <= set(content(first))


def test_an_editable_install_has_no_copy_of_the_configs(tmp_path: Path) -> None:
    build = f"from hatchling.builders.wheel import WheelBuilder as B; print(*B('.').build(directory={str(tmp_path)!r}, "
    python("-c", f"{build}versions=['editable']))", cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    assert not [name for name in content(wheel) if "conf" in name]


def test_only_the_wheel_is_imported(installed: Installed) -> None:
    files = "import thawline, hydra_plugins.thawline_launcher as l; print(thawline.__file__, l.__file__, sep='\\n')"
    assert [Path(line).parents[1] for line in installed.python("-c", files).split()] == [installed.folder] * 2


def test_advise_train_verify_compare_and_cache(installed: Installed) -> None:
    """What a user types after `pip install thawline[demo]`, in this order."""
    advised = installed.thawline("advise", *DIGITS, *MODEL)
    commands = [shlex.split(line)[1:] for line in advised.splitlines() if line.startswith("run ")]
    assert commands
    assert all(command[:2] == ["thawline", "scenario=small_different"] for command in commands)
    out = installed.thawline("scenario=small_different", *DIGITS, *RUN)
    ((folder, record),) = installed.records("small_different")
    assert record["status"] == "completed"
    assert record["model"]["weights"] == "embedded"
    assert f"run      {folder.relative_to(installed.work)}" in out
    assert "Recompute: thawline verify-freeze RUN" in (folder / "freeze.json").read_text()
    assert "The certificate holds." in installed.thawline("verify-freeze", folder)
    assert "\nsmall_different " in installed.thawline("compare", "outputs")
    assert " stores, " in installed.thawline("cache")


def test_a_sweep_whose_jobs_have_two_processes(installed: Installed) -> None:
    out = installed.thawline("-m", *TINY, "trainer.devices=2", "seed=0,1", "output_dir=outputs/console")
    records = installed.records("console")
    assert [(record["status"], record["machine"]["processes"]) for _, record in records] == [("completed", 2)] * 2
    sweep = records[0][0].parent
    assert f"compare  thawline compare {sweep}" in out
    assert "Recompute: thawline verify-freeze RUN" in (records[1][0] / "freeze.json").read_text()


def test_the_module_starts_its_jobs_and_their_processes_as_a_module(installed: Installed) -> None:
    out = installed.python(
        "-m", "thawline", "train", "-m", *TINY, "trainer.devices=2", "seed=0", "output_dir=outputs/module"
    )
    ((folder, record),) = installed.records("module")
    assert (record["status"], record["machine"]["processes"]) == ("completed", 2)
    assert "Run 0_run: completed" in out
    assert "Recompute: python -m thawline verify-freeze RUN" in (folder / "freeze.json").read_text()
    assert "usage: python -m thawline compare" in installed.python("-m", "thawline", "compare", "--help")
