"""Parts of the user's that fail: the run says whose fault it is, and keeps the traceback; no training in vain."""

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from thawline.callbacks.plain_state import refuse_unreadable, unreadable
from thawline.errors import UserError

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
