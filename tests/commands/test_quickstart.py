"""The notebook of examples/ runs from top to bottom, offline, and stays small enough for a diff."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from thawline.callbacks.progress import EpochBar, NotebookBar, in_notebook, progress_callbacks
from thawline.training.steps import Steps

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"


def test_it_is_kept_without_outputs() -> None:
    nbformat = pytest.importorskip("nbformat")
    body = nbformat.read(NOTEBOOK, as_version=4)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in body.cells if cell.cell_type == "code")


@pytest.mark.slow  # starts a kernel and trains
def test_it_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    body = nbformat.read(NOTEBOOK, as_version=4)
    for cell in body.cells:
        if cell.cell_type == "code":  # enough for the first model
            cell.source = cell.source.replace("MINUTES = 0.5", "MINUTES = 0.01")
    client = nbclient.NotebookClient(body, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    said = "\n".join(out.get("text", "") for cell in body.cells for out in cell.get("outputs", []))
    pictures = [out for cell in body.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    assert len(pictures) == 4  # two classes, the confusion matrix, the predictions
    assert "photos: 48 images" in said
    assert "test/accuracy" in said
    (record,) = (tmp_path / "outputs" / "auto").glob("*/run.json")
    assert (record.parent / "model" / "model.json").is_file()


def test_a_notebook_has_a_bar_that_needs_no_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not in_notebook()
    shell = type("Shell", (type("ZMQInteractiveShell", (), {}),), {})  # as in Colab
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=shell))
    bars = progress_callbacks(Steps(epochs=1, per_epoch=1, total=1, batches=1.0, validate_every=1.0), lines=False)
    kinds = {type(bar) for bar in bars}
    assert kinds & {NotebookBar, EpochBar} == {NotebookBar}
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))  # IPython, but no kernel
    assert not in_notebook()
