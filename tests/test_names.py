"""A public constant has one meaning: its name stands in one module."""

import ast
from collections import defaultdict
from pathlib import Path

import thawline

# Every data source says these of itself.
_OF_A_SOURCE = {"CLASS_NAMES", "MIN_IMAGES", "RULE_VERSION"}


def test_a_public_constant_stands_in_one_module() -> None:
    modules = defaultdict(list)
    for path in sorted(Path(thawline.__file__).parent.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in (name for one in targets for name in getattr(one, "elts", [one])):
                if isinstance(target, ast.Name) and target.id.isupper() and not target.id.startswith("_"):
                    modules[target.id].append(path.name)
    twice = {name: files for name, files in modules.items() if len(files) > 1 and name not in _OF_A_SOURCE}
    assert twice == {}
