"""The code that docs/python.md and the public docstrings show runs, and prints what they say."""

import contextlib
import doctest
import importlib
import inspect
import io
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

import thawline

PAGE = Path(__file__).resolve().parents[1] / "docs" / "python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)
WITH_EXAMPLES = [name for name in thawline.__all__ if ">>>" in (inspect.getdoc(getattr(thawline, name)) or "")]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, and caches in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    torch.manual_seed(0)


@pytest.fixture
def flowers(tmp_path: Path) -> None:
    """24 images in two class folders, `rose` and `tulip`."""
    for name, colour in (("rose", (200, 40, 60)), ("tulip", (230, 180, 40))):
        (tmp_path / "flowers" / name).mkdir(parents=True)
        for i in range(12):
            image = Image.new("RGB", (64, 64), (colour[0] - i, colour[1], colour[2]))
            image.save(tmp_path / "flowers" / name / f"{i}.png")


def test_the_page_on_python_runs_from_top_to_bottom_and_prints_what_it_says() -> None:
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    namespace: dict[str, object] = {"__name__": "__main__"}
    assert len(blocks) == PAGE.read_text(encoding="utf-8").count("```python")
    for block in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, str(PAGE), "exec"), namespace)
        lines = printed.getvalue().splitlines()
        for line in PRINTED.findall(block):
            assert line in lines, printed.getvalue()


def test_the_page_names_every_public_name() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in thawline.__all__ if name not in page and name not in ("RunRecord", "__version__")] == []


@pytest.mark.usefixtures("flowers")
@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_public_name_run(name: str) -> None:
    thing = getattr(thawline, name)
    module = importlib.import_module(thing.__module__)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    tests = doctest.DocTestFinder().find(thing, name, module=module, globs=dict(vars(module)))
    report = io.StringIO()
    for test in tests:
        runner.run(test, out=report.write)
    assert runner.summarize(verbose=False).failed == 0, report.getvalue()
    assert runner.tries > 0


def test_every_public_class_and_function_has_an_example() -> None:
    without = set(thawline.__all__) - set(WITH_EXAMPLES)
    of_a_run = {"Model", "Prediction", "load"}  # an example would train one; docs/python.md does
    assert without == {"FreezeBreach", "RunRecord", "UserError", "__version__"} | of_a_run
