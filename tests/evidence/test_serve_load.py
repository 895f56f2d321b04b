"""The table of docs/serve.md is the one that the numbers in docs/serve.json make."""

import json
from pathlib import Path

from serve_load import CLIENTS, table

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_shows_the_recorded_numbers() -> None:
    recorded = json.loads((DOCS / "serve.json").read_text(encoding="utf-8"))
    assert table(recorded) in (DOCS / "serve.md").read_text(encoding="utf-8")
    assert tuple(one["clients"] for one in recorded["serve"]) == CLIENTS


def test_a_table_by_hand() -> None:
    one = {"clients": 8, "images_per_s": 12.4, "p50_ms": 3.25, "p99_ms": 9.96, "mean_batch": 2.0}
    result = {"serve": [one], "images": 5, "predict_images_per_s": 20.6, "model": "m", "machine": "x", "date": "d"}
    lines = table(result).splitlines()
    assert lines[2] == "| 8 | 12 | 3.2 | 10.0 | 2.0 |"
    assert lines[4] == "`Model.predict` on the same 5 files: 21 images/s."
