"""The names that `thawline` offers: all there, none imported before its use, the same for type checkers."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import thawline


def test_importing_thawline_imports_neither_torch_nor_hydra() -> None:
    code = "import sys, thawline; print(sorted({'torch', 'hydra', 'timm', 'lightning', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_name_is_there_and_listed() -> None:
    assert set(thawline.__all__) <= set(dir(thawline))
    for name in thawline.__all__:
        assert getattr(thawline, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Freeze'"):
        _ = thawline.Freeze  # type: ignore[attr-defined]


def test_type_checkers_see_what_is_imported() -> None:
    tree = ast.parse(Path(thawline.__file__).read_text(encoding="utf-8"))
    checked = {
        alias.name: node.module
        for block in ast.walk(tree)
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if node.module != "importlib"
    }
    assert checked == thawline._MODULES
    assert {*checked, "__version__"} == set(thawline.__all__)
