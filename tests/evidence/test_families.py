"""The survey over timm's families: which model it takes, what it says of one, and the page."""

import json
from pathlib import Path

import pytest

from families import page, rows_of, smallest
from family.trial_of_one import attempt
from thawline.errors import UserError

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_smallest_model_of_a_family_is_the_one_with_the_smallest_word_and_images() -> None:
    assert smallest(["vit_base_patch16_224", "vit_tiny_patch16_384", "vit_tiny_patch16_224"]) == "vit_tiny_patch16_224"
    assert smallest(["resnet50", "resnet18", "resnet18d"]) == "resnet18"


def test_a_model_that_trains_works_and_one_that_cannot_be_cut_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = attempt("test_resnet")
    assert (outcome.outcome, outcome.stages, outcome.line) == ("works", 7, "")

    def refuse(*_: object, **__: object) -> None:
        raise UserError("the backbone X cannot be cut into stages; choose another model.name")

    monkeypatch.setattr("thawline.models.backbone.split_into_stages", refuse)
    outcome = attempt("test_resnet")
    assert outcome.outcome == "refused"
    assert "cannot be cut into stages" in outcome.line


def test_the_page_counts_the_outcomes_and_is_that_of_the_table(tmp_path: Path) -> None:
    rows = [
        {"family": "a", "model": "a1", "side": 224, "outcome": "works", "stages": 3, "parameters": 9, "line": ""},
        {"family": "b", "model": "b1", "side": 224, "outcome": "fails", "stages": 0, "parameters": 0, "line": "x | y"},
    ]
    table = tmp_path / "families.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = page(rows_of(table).values())
    assert "1 work, 0 are refused in one line, 1 fail, 0 took more" in made
    assert "x / y" in made
    kept = rows_of(DOCS / "families.jsonl")
    assert not [row for row in kept.values() if row["outcome"] == "fails"]
