"""Parts of the user's that fail: the run says whose fault it is, and keeps the traceback; no training in vain."""

import json
import logging
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faulty_parts import SlowSource
from omegaconf import OmegaConf
from torch.utils.data import DataLoader
from torchvision.transforms.functional import pil_to_tensor

from thawline.callbacks.plain_state import refuse_unreadable, unreadable
from thawline.data.dataset import SplitDataset
from thawline.errors import UserError
from thawline.features.in_flight import ahead
from thawline.machine import standstill
from thawline.machine.standstill import standstill_reported, users_call, worker_init

Run = Callable[..., Any]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "trainer.max_epochs=1")
TINY += ("data.batch_size=8", "trainer.accelerator=cpu", "data=folder")


def refused(result: Any) -> str:
    lines = result.err.strip().splitlines()
    assert (result.code, len(lines)) == (2, 1), result.err
    return str(lines[0])


def the_run(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "out" / "small_different").iterdir()
    return folder


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ("+callbacks.mine._target_=faulty_parts.RaisingCallback", "+callbacks.mine.hook=on_train_start"),
            "callbacks.mine._target_=faulty_parts.RaisingCallback: raised KeyError ('a defect of the callback')",
        ),
        (
            ("model.head._target_=faulty_parts.RaisingHead",),
            "model.head._target_=faulty_parts.RaisingHead: raised RuntimeError (mat1 and mat2 shapes cannot be",
        ),
        (
            ("data.source._target_=faulty_parts.RaisingSource", "data.num_workers=1", "cache.enabled=false"),
            "data.source._target_=faulty_parts.RaisingSource: raised RuntimeError (image 5 is not to be had) in load",
        ),
    ],
    ids=["callback", "head", "source in a loading process"],
)
def test_an_error_in_the_users_code_is_said_to_be_there(
    run_cli: Run, tmp_path: Path, image_folder: Path, overrides: tuple[str, ...], says: str
) -> None:
    workers = () if "data.num_workers=1" in overrides else ("data.num_workers=0",)
    line = refused(run_cli(*TINY, f"data.root={image_folder}", *workers, *overrides))
    assert line.startswith(f"error: {says}")
    assert "faulty_parts.py line" in line
    assert "this is not Thawline's code; the traceback is in traceback.txt" in line
    folder = the_run(tmp_path)
    assert "faulty_parts.py" in (folder / "traceback.txt").read_text()
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "failed"
    assert record["progress"]["doing"] == "training"
    (ended,) = [one for one in (folder / "train.log").read_text().splitlines() if " ERROR " in one]
    assert "failed while training, in epoch 1 of 1, at step 0, with " in ended
    assert "GB left: ErrorInUsersCode: " in ended  # with its whole text
    assert says in ended


def test_a_callback_that_does_not_come_back_is_said_to_be_there(
    run_cli: Run, tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line though it makes many short calls, in `train.log` too; the run waits for it, and completes."""
    monkeypatch.setattr(standstill, "_SILENT_S", 0.3)
    stuck = ("+callbacks.mine._target_=faulty_parts.StuckCallback", "+callbacks.mine.seconds=0.8")
    result = run_cli(*TINY, f"data.root={image_folder}", "data.num_workers=0", *stuck)
    assert result.code == 0, result.err
    texts = (result.out, (the_run(tmp_path) / "train.log").read_text())
    for text in texts:
        (line,) = [line for line in text.splitlines() if "so far" in line]
        assert "Note: callbacks.mine._target_=faulty_parts.StuckCallback: one call has taken 0 s so far" in line
        assert re.search(r"and stands in _poll, faulty_parts.py line \d+; this is not Thawline's code", line)
    assert not [thread for thread in threading.enumerate() if thread.name == "standstill" and thread.is_alive()]


@pytest.mark.parametrize(
    ("where", "seconds", "images"),
    [("a thread", 0.05, 16), ("a loading process", 1.0, 1)],
    ids=["slow in a thread", "stuck in a loading process"],
)
def test_images_that_are_slow_are_no_standstill(
    where: str, seconds: float, images: int, tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standstill, "_SILENT_S", 0.6)  # the slow ones take longer together
    handler = logging.FileHandler(tmp_path / "train.log")  # as a run's, which its processes write to
    standstill._log.addHandler(handler)
    data = SplitDataset(SlowSource(seconds, root=image_folder), np.arange(images), transform=pil_to_tensor, seed=0)
    with standstill_reported({"data.source._target_": "faulty_parts.SlowSource"}):
        how: dict[str, Any] = {"num_workers": 1, "worker_init_fn": worker_init()} if where != "a thread" else {}
        loader: DataLoader[Any] = DataLoader(
            data, batch_size=16, sampler=[(0, index) for index in range(images)], **how
        )
        assert len(list(loader if how else ahead(loader))) == 1
    standstill._log.removeHandler(handler)
    handler.close()
    said = (tmp_path / "train.log").read_text().splitlines()
    assert len(said) == (images == 1)
    for line in said:
        assert "data.source._target_=faulty_parts.SlowSource: one call has taken" in line
        assert "and stands in load, faulty_parts.py line" in line


def test_only_code_that_thawline_waits_for_is_looked_at() -> None:
    def outer(then: Callable[[], Any]) -> Any:
        return then()

    def asked() -> Any:
        return users_call(sys._getframe(), {__file__: "callbacks.mine._target_"})

    def from_thawline(function: Callable[[], Any]) -> Any:
        return eval(compile("function()", standstill.__file__, "eval"), {"function": function})

    assert asked() is None  # a thread that the user started, for one
    first, innermost, key = from_thawline(lambda: outer(asked))
    assert (first.f_code.co_name, innermost.f_code.co_name, key) == ("<lambda>", "asked", "callbacks.mine._target_")
    ours = from_thawline(lambda: from_thawline(lambda: asked()) and users_call(first.f_back, {__file__: "key"}))
    assert ours is None  # what the user's code called of Thawline's is what runs


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (
            "function",
            "of StrangeState holds an object of type builtin_function_or_method at ['cuts'][1]['how']",
        ),
        ("module", "the state_dict of StrangeState holds an object of type torch.nn.modules.linear.Linear at ['net']"),
    ],
)
def test_a_state_that_cannot_be_read_back_is_told_before_training(
    run_cli: Run, tmp_path: Path, image_folder: Path, what: str, says: str
) -> None:
    mine = ("+callbacks.mine._target_=faulty_parts.StrangeState", f"+callbacks.mine.what={what}")
    result = run_cli(*TINY, f"data.root={image_folder}", "data.num_workers=0", *mine)
    assert says in refused(result)
    assert "epoch 1/1" not in result.out
    assert not list(the_run(tmp_path).rglob("*.ckpt*"))


def test_what_comes_back_is_what_torch_reads_without_running_code() -> None:
    plain = {
        "a": [1, 2.5, None, "text"],
        "b": OrderedDict(c=(torch.zeros(1), {"d"})),
        3: torch.Size([2]),
    }
    assert not list(unreadable(plain))
    refuse_unreadable({"state_dict": plain, "callbacks": {"Mine{'every': 2}": plain}})
    strange = {"a": [1, OmegaConf.create([2])], "p": Path("x")}
    assert [place for place, _ in unreadable(strange)] == ["['a'][1]", "['p']"]
    with pytest.raises(UserError, match=r"on_save_checkpoint adds under 'mine' holds an object of type pathlib"):
        refuse_unreadable({"mine": Path("x")})


@pytest.mark.slow
def test_a_callback_that_prints_seeds_and_changes_the_folder_changes_no_result(
    run_cli: Run, tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    meddling = (f"+callbacks.mine.folder={tmp_path}/elsewhere", "+callbacks.mine._target_=faulty_parts.Meddler")
    random = ("model/head=mlp", "regularize.mixup=0.2", "data.num_workers=0", "trainer.max_epochs=2")
    records = []
    for name, more in (("without", ()), ("with", meddling)):
        result = run_cli(*TINY, *random, "data.root=images", f"hydra.run.dir=runs/{name}", *more)
        assert result.code == 0, result.err
        assert result.out.count("meddling") == (4 if more else 0)
        assert [line for line in result.out.splitlines() if line.startswith("run ")] != []
        monkeypatch.chdir(tmp_path)
        records.append(json.loads((tmp_path / "runs" / name / "run.json").read_text(encoding="utf-8")))
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert records[0]["metrics"] == records[1]["metrics"]
    assert records[0]["curves"] == records[1]["curves"]
