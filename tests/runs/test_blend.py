"""strategy=blend from the command line: the average of a stacked probe and of fine-tuned stages, in one checkpoint."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from thawline.freezing.verify import verify
from thawline.models.load_checkpoint import load_checkpoint

Run = Callable[..., Any]
TINY = ("strategy=blend", "model.name=test_resnet", "model.image_size=32", "data.batch_size=4", "data.num_workers=0")
TINY += ("trainer.accelerator=cpu", "trainer.max_epochs=2", "strategy.unfreeze_depth=2")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Of a "pretrained" model: random ones of a seed that no run has."""
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(1234)
    path = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=0).state_dict(), path)
    return path


def the_run(out: Path) -> tuple[Path, dict[str, Any]]:
    (folder,) = (out / "small_different").iterdir()
    return folder, json.loads((folder / "run.json").read_text())


def test_one_checkpoint_holds_both_and_one_certificate_covers_them(
    run_cli: Run, image_folder: Path, weights: Path, tmp_path: Path
) -> None:
    arguments = ("data=folder", f"data.root={image_folder}", *TINY, f"model.weights={weights}")
    result = run_cli(*arguments)
    assert result.code == 0, result.err
    assert result.out.count("Cached ") == 2  # one pass over each split serves the suffix and the stack
    folder, record = the_run(tmp_path / "out")
    assert record["strategy"]["name"] == "blend"
    assert record["metrics"]["test/accuracy"] == 1.0
    assert record["expected"]["images"] > 0
    assert not [problem for check in verify(folder) for problem in check.problems]
    best, last = (load_checkpoint(folder / "checkpoints" / f"{n}.ckpt")["state_dict"] for n in ("best", "last"))
    assert not [name for name in last if name.startswith("beside.")]
    for name in last:
        copied = f"beside.{name}"
        if name.startswith("backbone.model.layer4") and name.endswith("weight"):
            assert not torch.equal(best[name], best[copied])  # the stage was fine-tuned, its copy was not
        if name.startswith("backbone.model.conv1"):
            assert torch.equal(best[name], best[copied])


def test_a_stack_of_more_rows_than_are_solved_for_at_once_is_refused_before_training(
    run_cli: Run, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thawline.runs.stack_features.MOST_STORED", 20_000)
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, "model.weights=none")
    assert result.code == 2
    assert "strategy.stack_share=0.5: the stack of 20 images takes 0.0 GB of features" in result.err
    assert "take strategy=stacked_probe, which keeps sums over the images" in result.err
    assert not (tmp_path / "out").exists()  # nothing began


def test_a_pretrained_copy_that_moved_is_seen(run_cli: Run, image_folder: Path, weights: Path, tmp_path: Path) -> None:
    arguments = ("data=folder", f"data.root={image_folder}", *TINY, f"model.weights={weights}")
    assert run_cli(*arguments).code == 0
    folder, _ = the_run(tmp_path / "out")
    path = folder / "checkpoints" / "best.ckpt"
    body = torch.load(path, weights_only=True)
    name = next(n for n in body["state_dict"] if n.startswith("beside.backbone.model.layer4") and n.endswith("weight"))
    body["state_dict"][name] = body["state_dict"][name] + 1e-3
    torch.save(body, path)
    problems = [problem for check in verify(folder) for problem in check.problems]
    assert problems == [f"{name} is frozen, but differs in best.ckpt"]


@pytest.mark.slow
def test_a_run_that_was_cut_off_goes_on_to_the_same_end(
    run_cli: Run, image_folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("data=folder", f"data.root={image_folder}", *TINY, f"model.weights={weights}")
    assert run_cli(*arguments).code == 0
    whole, record = the_run(tmp_path / "out")
    whole = whole.rename(tmp_path / "whole")

    def cut_off(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # after best.ckpt was replaced
        patch.setattr("thawline.runs.fit._test", cut_off)
        run_cli(*arguments)
    folder, before = the_run(tmp_path / "out")
    assert before["status"] == "interrupted"
    assert run_cli(f"resume={folder}").code == 0
    _, resumed = the_run(tmp_path / "out")
    assert resumed["metrics"] == record["metrics"]
    ends = [load_checkpoint(path / "checkpoints" / "best.ckpt")["state_dict"] for path in (whole, folder)]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("cache.enabled=false",), "strategy.stack_share=0.5: solves on stored features, and cache.enabled=false"),
        (("regularize=wise_ft",), "strategy.stack_share=0.5: beside regularize.wise_ft="),
        (("strategy.stack_share=1",), "strategy.stack_share=1.0: allowed are 0 to 0.99"),
    ],
)
def test_what_it_cannot_go_with_is_refused(
    run_cli: Run, image_folder: Path, weights: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, f"model.weights={weights}", *arguments)
    assert result.code == 2
    (line,) = result.err.strip().splitlines()
    assert says in line
