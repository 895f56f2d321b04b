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


def test_what_is_printed_of_an_object_says_what_it_is() -> None:
    assert repr(thawline.FreezeCallback()) == "FreezeCallback(unfreeze_depth=2)"
    assert repr(thawline.FreezeCallback(stages=["layer4"])) == "FreezeCallback(stages=['layer4'])"
    assert repr(thawline.FreezeGuard()) == "FreezeGuard(checks=0, verified=None)"
    record = thawline.RunRecord("7", "auto", 0, metrics={"test/accuracy": 0.81234, "val/accuracy": 0.9})
    says = "RunRecord(run_id='7', scenario='auto', status='running', metrics={'test/accuracy': 0.8123})"
    assert repr(record) == says


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
