"""What a certificate says of every stage, from checksums made up by hand."""

from pathlib import Path
from typing import Any

import pytest

from thawline.errors import UserError
from thawline.freezing.bound_plan import BoundPlan, bind
from thawline.freezing.certificate import certificate, load_certificate
from thawline.models.backbone import Backbone
from thawline.models.digests import Digests, combined
from thawline.models.heads import LinearHead
from thawline.settings.strategy_settings import StrategySettings

FROZEN, TRAINED = "backbone.model.layer1.0.conv1.weight", "backbone.model.layer4.0.conv1.weight"


@pytest.fixture
def bound(tiny_backbone: Backbone) -> BoundPlan:
    strategy = StrategySettings("test", unfreeze_depth=1, thaw_after=1, batchnorm="eval")
    return bind(strategy, tiny_backbone, LinearHead(tiny_backbone.num_features, 2))


def stages_of(bound: BoundPlan, *, after: Digests, tested: Digests) -> dict[str, dict[str, Any]]:
    """The certificate's entries by stage, where before the training every checksum was `0`."""
    before = dict.fromkeys(bound.tensors(), "0")
    return {
        entry["name"]: entry
        for entry in certificate(bound, before=before, after=after, tested=tested, num_epochs=3)["stages"]
    }


def test_a_certificate_tells_plan_counts_and_checksums(bound: BoundPlan) -> None:
    same = dict.fromkeys((FROZEN, TRAINED, "backbone.model.layer4.0.bn1.running_mean", "head.weight"), "0")
    moved = same | {TRAINED: "1", "head.weight": "1"}
    stages = stages_of(bound, after=moved, tested=same)
    assert list(stages) == ["layer1", "layer4", "head"]  # the others are in no checkpoint
    top = stages["layer4"]
    assert (top["epochs"], top["tensors"], top["frozen"], top["unchanged"]) == ([[1, 2]], 2, 1, True)
    held = {TRAINED: "0", "backbone.model.layer4.0.bn1.running_mean": "0"}
    assert (top["before"], top["after"], top["tested"]) == (
        combined(held),
        combined(held | {TRAINED: "1"}),
        combined(held),
    )
    body = certificate(bound, before=same, after=moved, tested=same, num_epochs=3)
    assert (body["schema"], body["epochs"]) == (1, 3)
    assert body["plan"] == {"phases": bound.plan.as_list(), "parameters": "all", "batchnorm": "eval"}


@pytest.mark.parametrize("file", ["after", "tested"])
def test_a_frozen_tensor_that_changed_in_either_checkpoint_is_told(bound: BoundPlan, file: str) -> None:
    checksums = {name: {FROZEN: "0", TRAINED: "0"} for name in ("after", "tested")}
    checksums[file][FROZEN] = "1"
    stages = stages_of(bound, after=checksums["after"], tested=checksums["tested"])
    assert not stages["layer1"]["unchanged"]
    assert stages["layer4"]["unchanged"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", r"freeze\.json: no freeze certificate can be read \("),
        ("[]", r"not a freeze certificate of schema 1"),
        ('{"schema": 2}', r"not a freeze certificate of schema 1"),
    ],
)
def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "freeze.json").write_text(content)
    with pytest.raises(UserError, match=says):
        load_certificate(tmp_path)


def test_a_folder_without_a_certificate_tells_whether_there_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"only a completed run with strategy\.guard=true has one"):
        load_certificate(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        load_certificate(tmp_path / "nowhere")
