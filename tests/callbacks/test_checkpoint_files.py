"""What a checkpoint holds on the disk."""

from pathlib import Path

import torch

from thawline.callbacks.checkpoint_files import CheckpointFiles


def test_a_checkpoint_that_is_only_tested_holds_no_state_of_the_optimizer(tmp_path: Path) -> None:
    best, last = tmp_path / "best.ckpt", tmp_path / "last.ckpt"
    files = CheckpointFiles(tested_only=best)
    body = {
        "state_dict": {"w": torch.ones(2)}, "epoch": 1, "global_step": 3, "callbacks": {"one": {"steps": 3}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}}], "lr_schedulers": [{"last_epoch": 3}],
    }  # fmt: skip
    for path in (best, last):
        files.save_checkpoint(body, path)
    held = {path: torch.load(path, weights_only=True) for path in (best, last)}
    assert held[last].keys() == body.keys()
    assert held[best].keys() == body.keys() - {"optimizer_states", "lr_schedulers"}
    assert torch.equal(held[best]["state_dict"]["w"], torch.ones(2))
