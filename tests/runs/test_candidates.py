"""scenario=auto with model.candidates: a stack of each backbone and image size, and the choice among them."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from thawline.advisor.pass_cost import PassCost
from thawline.errors import UserError
from thawline.features.expected import Expected
from thawline.features.left_out_answers import LEFT_OUT_FILE, LeftOutAnswers
from thawline.models.backbone import build_backbone
from thawline.report.run_record import RunRecord
from thawline.runs import stacks
from thawline.runs.candidates import Candidate, refuse_comparison
from thawline.runs.rung import Climb, Rung
from thawline.settings.advise_settings import BudgetSettings
from thawline.settings.model_settings import ModelSettings

Run = Callable[..., Any]
TINY = ("scenario=auto", "model.weights=none", "data.num_workers=0", "data.batch_size=8", "trainer.accelerator=cpu")


@pytest.mark.slow
def test_each_is_solved_one_is_taken_and_one_that_cannot_be_loaded_is_a_line(
    run_cli: Run, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []

    def build(name: str, *, weights: str, image_size: int | None = None) -> Any:
        built.append((name, image_size))
        if name == "resnet18":
            raise UserError("no weights here")
        return build_backbone(name, weights=weights, image_size=image_size)

    monkeypatch.setattr("thawline.runs.shared.build_backbone", build)
    result = run_cli(
        *TINY, "data=folder", f"data.root={image_folder}", "model.candidates=[resnet18,test_resnet]",
        "model.candidate_sizes=[64,32]", "budget.size_mb=2.5", "budget.minutes=null",
    )  # fmt: skip
    assert result.code == 0, result.err
    (folder,) = (tmp_path / "out" / "auto").iterdir()
    record = json.loads((folder / "run.json").read_text())
    entries = {(entry["name"], entry["image_size"]): entry for entry in record["advice"]["candidates"]}
    assert list(entries) == [("resnet18", 32), ("resnet18", 64), ("test_resnet", 32), ("test_resnet", 64)]
    assert entries["resnet18", 64]["note"] == "no weights here"
    assert all(entries["test_resnet", size]["log_loss"] is not None for size in (32, 64))
    assert [key for key, entry in entries.items() if entry["kept"]] == [("test_resnet", record["model"]["image_size"])]
    described = json.loads((folder / "model" / "model.json").read_text())
    assert described["architecture"]["image_size"] == record["model"]["image_size"]
    assert "Next: test_resnet at 64 pixels, about" in result.out
    assert "Backbones and image sizes" in result.out
    names = ["stacked_probe_test_resnet_32", "stacked_probe_test_resnet_64"]
    assert [rung["name"] for rung in record["advice"]["rungs"]] == names
    assert record["advice"]["ended"].startswith("budget.size_mb=2.5: blend_")
    assert built.count(("test_resnet", 32)) == built.count(("test_resnet", 64)) == 1
    assert all((rung / LEFT_OUT_FILE).is_file() for rung in (folder / "rungs").glob("*test_resnet*"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("model.candidates=[test_resnet,resnet81]",), "model.candidates: resnet81 is no model; allowed are "),
        (("model.candidates=[resnet18]", "model.name=resnet34"), "put the model into the list"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    run_cli: Run, image_folder: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = run_cli(*TINY, "data=folder", f"data.root={image_folder}", *arguments)
    assert result.code == 2
    (line,) = result.err.strip().splitlines()
    assert says in line


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"candidates": ["a", "a"]}, r"model.candidates=\[a,a\]: name one model at least, and each once"),
        ({"candidates": []}, r"model.candidates=\[\]: name one model at least"),
        ({"candidate_sizes": [5]}, r"model.candidate_sizes=\[5\]: allowed are auto, null, or a list of .* 8 to 4096"),
        ({"candidate_sizes": "small"}, "model.candidate_sizes=small: allowed are auto, null"),
        ({"candidate_sizes": [64], "image_size": 64}, r"has no effect beside model.candidate_sizes=\[64\]"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        ModelSettings("a", "none", {}, **settings)


def test_bounds_are_above_zero() -> None:
    with pytest.raises(UserError, match=r"budget.latency_ms=0: a number above 0, or null for no bound"):
        BudgetSettings(latency_ms=0)


def test_only_auto_compares() -> None:
    with pytest.raises(UserError, match=r"model.candidates=\[a,b\]: only scenario=auto compares models"):
        refuse_comparison(ModelSettings("a", "none", {}, candidates=["a", "b"]))
    refuse_comparison(ModelSettings("a", "none", {}))


class Made:
    """Candidates whose rungs are made up: name -> (accuracy, seconds for an image, seconds that its rung takes)."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: BudgetSettings, **made: Any) -> None:
        self.made, self.clock, self.ran, self.tmp_path = made, 0.0, list[str](), tmp_path
        settings = SimpleNamespace(model=ModelSettings("m", "none", {}))
        config: Any = SimpleNamespace(settings=settings)
        candidates = [Candidate(name, 32, (), config) for name in made]
        context: Any = SimpleNamespace(folder=tmp_path)
        record = RunRecord("run", "auto", 0)
        self.climb = Climb(SimpleNamespace(), context, record, 0.0, budget)  # type: ignore[arg-type]
        self.stacks = stacks.Stacks(self.climb, candidates)
        monkeypatch.setattr("thawline.runs.rung.time.perf_counter", lambda: self.clock)
        monkeypatch.setattr(stacks, "run_rung", self.run)
        monkeypatch.setattr(stacks, "keep", lambda climb, rung, expected: None)
        monkeypatch.setattr(stacks.Stacks, "cost_of", patched_cost(self))
        self.stacks.first()
        self.stacks.others()

    def run(self, climb: Climb, name: str, config: Any, overrides: Any) -> Rung:
        short = name.removeprefix("stacked_probe_").removesuffix("_32")
        accuracy, _, seconds = self.made[short]
        self.clock += seconds
        self.ran.append(short)
        right = torch.arange(100) < 100 * accuracy
        folder = self.tmp_path / short
        folder.mkdir()
        LeftOutAnswers(torch.arange(100), torch.arange(100), 1.0 - 0.9 * right.double(), right).save(folder)
        record = RunRecord(short, "auto", 0, data={"num_train": 80, "num_val": 20, "num_test": 0})  # type: ignore[arg-type]
        record.expected = Expected(accuracy, accuracy - 0.1, accuracy + 0.1, 100, "leave-one-out")
        record.cache.seconds = seconds
        return Rung(name, folder, record, seconds, False)

    def cost(self, of: Any, candidate: Candidate) -> PassCost:
        image_s = self.made[candidate.name][1]
        of.costs[candidate] = PassCost(image_s, image_s, 1_000_000)
        return of.costs[candidate]


def patched_cost(made: Made) -> Any:
    return lambda self, candidate: made.cost(self, candidate)


def test_the_others_come_in_the_order_of_their_cost_and_the_best_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made(
        tmp_path, monkeypatch, BudgetSettings(minutes=None), a=(0.6, 0.1, 10), b=(0.9, 0.3, 30), c=(0.7, 0.2, 20)
    )
    assert made.ran == ["a", "c", "b"]
    assert made.stacks.taken.candidate.name == "b"
    assert [entry.kept for entry in made.climb.record.advice.candidates] == [False, True, False]


def test_one_whose_foretold_time_does_not_fit_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of 60 s a takes 10 s; c is foretold 20 s, fits, and takes 24.2 s. b is foretold 22 s, which would fit into the
    # 25.8 s that are left; but rungs take 1.21 times what is foretold.
    budget = BudgetSettings(minutes=1.0)
    made = Made(tmp_path, monkeypatch, budget, a=(0.6, 0.1, 10), b=(0.9, 0.22, 22), c=(0.7, 0.2, 24.2))
    assert made.ran == ["a", "c"]
    note = made.climb.record.advice.candidates[1].note
    assert note == "not tried: budget.minutes=1: b at 32 pixels would take 27 s, 26 s are left"


def test_what_no_time_is_left_for_is_not_even_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(tmp_path, monkeypatch, BudgetSettings(minutes=None), a=(0.6, 0.1, 10), b=(0.9, 0.3, 30))
    made.stacks.costs.clear()
    made.climb.fixed_s = 5.0  # what a rung takes besides its pass
    monkeypatch.setattr(type(made.climb), "left", 1.0)
    monkeypatch.setattr(stacks, "completed", lambda *_: None)
    candidate = made.stacks.candidates[1]
    assert not made.stacks._is_ready(candidate)
    assert made.stacks.notes[candidate] == "not tried: 1 s of budget.minutes are left"
    assert not made.stacks.costs


def test_a_bound_on_the_latency_holds_for_the_first_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = BudgetSettings(minutes=None, latency_ms=150)
    made = Made(tmp_path, monkeypatch, budget, a=(0.9, 0.2, 10), b=(0.6, 0.1, 10))
    assert made.ran == ["b"]
    assert made.climb.record.advice.candidates[0].note == "budget.latency_ms=150: a at 32 pixels takes 200.0 ms"
