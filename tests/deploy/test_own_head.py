"""A portable model whose head is the user's own: its code runs only with trust, and then it answers as in the run."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from predict_command import predict

import thawline
from thawline import train
from thawline.errors import UserError
from thawline.report.run_record import load_record

TINY = (
    "model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.batch_size=8", "data.num_workers=0",
    "data=folder", "trainer.accelerator=cpu", "trainer.max_epochs=8", "strategy=feature_extraction",
)  # fmt: skip
MODULE = "head_of_a_user"
CODE = """
from pathlib import Path

import torch
from torch import nn

Path(__file__).with_name("imported").touch()


class TwoLayers(nn.Module):
    def __init__(self, num_features, num_classes, *, hidden, slope=0.1):
        super().__init__()
        self.first, self.last = nn.Linear(num_features, hidden), nn.Linear(hidden, num_classes)
        self.act = nn.LeakyReLU(slope)
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(self, features):
        return self.last(self.act(self.scale * self.first(features)))
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's module; `imported` in it says that it was."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / f"{MODULE}.py").write_text(CODE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return folder


def test_a_head_of_the_users_runs_only_with_trust_and_then_answers_as_in_the_test(
    code: Path, colour_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = colour_folder / "test"
    own = (f"model.head._target_={MODULE}.TwoLayers", "+model.head.hidden=32")
    train([*TINY, *own, f"data.root={colour_folder}", f"output_dir={tmp_path / 'out'}", f"cache.dir={tmp_path / 'c'}"])
    (run,) = (path.parent for path in (tmp_path / "out").rglob("run.json"))
    described = json.loads((run / "model" / "model.json").read_text())["architecture"]["head"]
    assert (described["target"], described["arguments"]) == (f"{MODULE}.TwoLayers", {"hidden": 32})
    (code / "imported").unlink()

    monkeypatch.delitem(sys.modules, MODULE)
    with pytest.raises(
        UserError, match=rf"the model's head is {MODULE}\.TwoLayers, code outside .*trust=true \(--trust"
    ):
        thawline.load(run, accelerator="cpu")
    assert not (code / "imported").exists()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [place for place in sys.path if place != str(code)])
        with pytest.raises(UserError, match=rf"the model's head {MODULE}\.TwoLayers cannot be imported"):
            thawline.load(run, accelerator="cpu", trust=True)

    model = thawline.load(run, accelerator="cpu", trust=True, precision="32-true")
    assert (code / "imported").exists()
    answers, expected = model.predict(images), probabilities_of_the_checkpoint(run, model, images)
    for answer, row in zip(answers, expected.tolist(), strict=True):
        wanted = dict(zip(model.class_names, row, strict=True))
        assert dict(answer.top) == pytest.approx(wanted, abs=1e-5)
    assert len({answer.label for answer in answers}) > 1
    as_tested = thawline.load(run, accelerator="cpu", trust=True).predict(images)
    right = sum(answer.label == Path(answer.path).parent.name for answer in as_tested)
    assert right / len(answers) == pytest.approx(load_record(run / "run.json").metrics["test/accuracy"], abs=1e-6)

    capsys.readouterr()
    assert predict(monkeypatch, run, images, "--out", tmp_path / "p.csv") == 2
    assert "code outside Thawline" in capsys.readouterr().err
    assert predict(monkeypatch, run, images, "--out", tmp_path / "p.csv", "--trust") == 0


def probabilities_of_the_checkpoint(run: Path, model: thawline.Model, images: Path) -> torch.Tensor:
    """(N, 3) by the trained head itself, on the features of the loaded model's backbone."""
    state = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    head: Any = sys.modules[MODULE].TwoLayers(state["head.first.weight"].shape[1], 3, hidden=32)
    head.load_state_dict({name.removeprefix("head."): value for name, value in state.items() if name[:5] == "head."})
    paths = sorted(images.glob("*/*.png"), key=lambda path: path.parts)
    pixels = torch.stack([model.prepare(path) for path in paths])
    backbone = model.net.backbone
    with torch.inference_mode():
        features = backbone((pixels / 255.0 - backbone.mean) / backbone.std)
        logits: torch.Tensor = model.net.temperature * head(features)
        return logits.softmax(1)
