"""docs/reliability.md lists every fault with a test that exists; the number that it states is that of its rows."""

import ast
import re
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "reliability.md"
HEADING = "| fault | promised | test |"
REFERENCE = re.compile(r"`(test_\w+\.py)::(test_\w+)(?:\[(\w[\w ]*)\])?`")
GOAL = 60  # faults


def rows(text: str) -> list[list[str]]:
    """Cells of the rows of every table of faults."""
    made = []
    for table in text.split(HEADING)[1:]:
        for line in table.splitlines()[2:]:
            if not line.startswith("|"):
                break
            made.append([cell.strip() for cell in line.strip("|").split("|")])
    return made


def test_every_fault_names_a_test_that_exists() -> None:
    files = Counter(path.name for path in TESTS.rglob("test_*.py"))
    paths = {path.name: path for path in TESTS.rglob("test_*.py")}
    wrong = []
    for fault, _, shown in rows(PAGE.read_text(encoding="utf-8")):
        references = REFERENCE.findall(shown)
        wrong += [] if references else [f"{fault}: no test"]
        for file, name, case in references:
            text = paths[file].read_text(encoding="utf-8") if files[file] == 1 else ""
            functions = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
            if name not in functions or case not in text:
                wrong.append(f"{fault}: {file}::{name} {case}")
    assert not wrong, wrong


def test_the_number_of_faults_is_that_of_the_rows_and_none_stands_twice() -> None:
    text = PAGE.read_text(encoding="utf-8")
    cells = rows(text)
    assert all(len(row) == 3 for row in cells), [row for row in cells if len(row) != 3]
    names = [fault for fault, _, _ in cells]
    assert len(set(names)) == len(names)
    assert len({(fault, shown) for fault, _, shown in cells}) == len(names)
    (stated,) = re.findall(r"\*\*(\d+) faults\*\*", text)
    assert int(stated) == len(names) >= GOAL
