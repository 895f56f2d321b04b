"""Imports point down: every module imports only from its own level or below, and some libraries start higher up."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "thawline"
# The longest matching prefix decides; what is not listed is level 0.
LEVELS = {
    "thawline.advisor": 1,
    "thawline.report.advice": 1,
    "thawline.report.advice_panel": 1,
    "thawline.report.profile_chart": 1,
    "thawline.report.profile_figure": 1,
    "thawline.models.classifier": 1,
    "thawline.models.metrics": 1,
    "thawline.data.datamodule": 1,
    "thawline.callbacks": 2,
    "thawline.parts": 2,
    "thawline.termination": 2,
    "thawline.quiet": 2,
    "thawline.config": 3,
    "thawline.advise": 3,
    "thawline.announce": 3,
    "thawline.auto": 3,
    "thawline.caching": 3,
    "thawline.choose": 3,
    "thawline.conflicts": 3,
    "thawline.fit": 3,
    "thawline.lbfgs": 3,
    "thawline.make": 3,
    "thawline.resume": 3,
    "thawline.run": 3,
    "thawline.sweep": 3,
    "thawline.sweep.settings": 0,
    "thawline.cli": 3,
}
LIBRARIES = {"lightning": 1, "torchmetrics": 1, "hydra": 3, "omegaconf": 3}


def level(module: str) -> int:
    matches = [name for name in LEVELS if module == name or module.startswith(f"{name}.")]
    return LEVELS[max(matches, key=len)] if matches else 0


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)  # may be modules themselves


MODULES = sorted(SRC.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_imports_point_down(path: Path) -> None:
    name = ".".join(path.relative_to(SRC.parent).with_suffix("").parts).removesuffix(".__init__")
    for imported in imports(path):
        if imported.startswith("thawline"):
            assert level(imported) <= level(name), f"{name} (level {level(name)}) imports {imported}"
        least = LIBRARIES.get(imported.split(".")[0], 0)
        assert level(name) >= least, f"{name} (level {level(name)}) imports {imported}, which starts at level {least}"


def test_no_module_is_a_bag() -> None:
    assert not {path.stem for path in MODULES} & {"utils", "helpers", "common", "base", "misc"}


def test_only_one_module_instantiates() -> None:
    users = {path.stem for path in MODULES if "hydra.utils.instantiate" in set(imports(path))}
    assert users == {"make"}
