"""The house: folders in one order, imports that point down, names that stand once, functions and files that stay short.

The order of the rooms is not written down here: it is worked out from the imports, and there is none where they run in
a circle.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "thawline"
FILES = sorted(SRC.rglob("*.py"))
ROOT_ROOM = "thawline"  # `__init__`, `__main__` and what every room may use
ENTRANCES = {"thawline", "thawline.__main__"}  # import from every room, the first of them lazily
NO_HYDRA = {"settings", "machine", "data", "models", "freezing", "features", "training", "callbacks", "advisor"}
NO_LIGHTNING = {"settings", "machine", "data", "models", "freezing", "features"}
CONFIG_READERS = {"commands", "sweep"}
_CONFIG_PART = {"config.py", "composed.py"}  # of runs/
MAX_FILE = 250  # lines
MAX_FUNCTION = 40  # lines


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SRC.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in FILES}


def room(module: str) -> str:
    """The folder that a module lies in: `thawline.data.sources.folder` -> `data`."""
    path = MODULES[module].relative_to(SRC)
    return path.parts[0] if len(path.parts) > 1 else ROOT_ROOM


def imported_names(path: Path) -> Iterator[str]:
    """Every name that a file imports, with the module that it comes from; those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str | None:
    """The module of ours that an imported name is, or lies in."""
    return name if name in MODULES else parent if (parent := name.rpartition(".")[0]) in MODULES else None


IMPORTS = {
    module: {target for name in imported_names(path) if (target := module_of(name)) is not None}
    for module, path in MODULES.items()
}


def ordered(graph: dict[str, set[str]]) -> list[str]:
    """Bottom up; fails with the circle where there is one."""
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def between_rooms() -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {}
    for module, targets in IMPORTS.items():
        if module not in ENTRANCES:
            graph.setdefault(room(module), set()).update({room(target) for target in targets} - {room(module)})
    return graph


def test_rooms_have_one_order() -> None:
    order = ordered(between_rooms())
    below = ["settings", "data", "models", "freezing", "features", "training", "advisor", "report", "runs", "commands"]
    assert [name for name in order if name in below] == below  # a circle of two rooms would fail before


def test_no_circle_of_files() -> None:
    ordered({module: targets - {module, "thawline"} for module, targets in IMPORTS.items() if module != "thawline"})


def test_a_circle_is_seen() -> None:
    with pytest.raises(pytest.fail.Exception, match="a circle: data <- models <- data"):
        ordered({"data": {"models"}, "models": {"data"}})


def test_libraries_start_at_their_room() -> None:
    for module, path in MODULES.items():
        libraries = {name.split(".")[0] for name in imported_names(path)}
        assert not (libraries & {"hydra", "omegaconf"} and room(module) in {*NO_HYDRA, "report"}), module
        assert not (libraries & {"lightning", "torchmetrics"} and room(module) in NO_LIGHTNING), module


def test_only_commands_read_the_command_line() -> None:
    readers = {module for module, path in MODULES.items() if "sys.argv" in path.read_text(encoding="utf-8")}
    assert {room(module) for module in readers} == {"commands"}


def test_file_names_stand_once() -> None:
    evidence = (SRC.parents[1] / "scripts" / "evidence").rglob("*.py")
    names = Counter(path.name for path in (*FILES, *evidence) if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_files_and_functions_are_short() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= MAX_FILE, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= MAX_FUNCTION, f"{path}: {node.name} has {lines} lines"


def test_text_is_utf8_whatever_the_locale() -> None:
    """Without `encoding=` Python takes that of the locale, and a class 사진 becomes another name, or an error."""
    text_file = re.compile(r"(?!Image|os|tarfile|logs|system)(.*\.)?(open|read_text|write_text)", re.DOTALL)
    settled = re.compile(r"encoding=|'[rwax]\+?b'")
    wrong = []
    for path in FILES:
        for call in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)):
            given = ", ".join(map(ast.unparse, [*call.args, *call.keywords]))
            opens = text_file.fullmatch(ast.unparse(call.func)) and not settled.search(given)
            if opens or any(ast.unparse(keyword) == "text=True" for keyword in call.keywords):
                wrong.append(f"{path}:{call.lineno}: {ast.unparse(call)}")
    assert not wrong, wrong


def test_configs_are_read_in_few_places() -> None:
    """Below `runs/` nobody sees a config of Hydra's; in `runs/` only what reads it does."""
    for module, path in MODULES.items():
        config = {name for name in imported_names(path) if name.startswith(("omegaconf.", "hydra.core.hydra_config"))}
        assert not config or room(module) in CONFIG_READERS or path.name in _CONFIG_PART, (module, config)


def test_no_module_is_a_bag() -> None:
    assert not {path.stem for path in FILES} & {"utils", "helpers", "common", "base", "misc"}


def test_only_one_module_instantiates() -> None:
    users = {path.stem for path in FILES if "hydra.utils.instantiate" in set(imported_names(path))}
    assert users == {"make"}
