"""The pure parts of the benchmark: gains, scaling, merging, the table."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from speed import child
from speed.child import run_module
from speed.plain import STAGES
from speed.results import file_name, load, merge
from speed.row import Row
from speed.scaling import scaled_fit_s
from speed.speed_table import ratio, render, row_cells
from thawline.models.backbone import build_backbone

MACHINE = {"cuda": False, "device": "cpu", "cores": 2, "architecture": "x86_64", "avx512_bf16": True}
MACHINE |= {"versions": {"torch": "2.14.1"}}


def case(*rows: Row, **more: Any) -> dict[str, Any]:
    about = {"machine": MACHINE, "date": "2026-01-31", "repeats": 3, "command": "python scripts/evidence/benchmark.py"}
    return {**about, "rows": [asdict(row) for row in rows], **more}


def test_the_ratio_is_the_median_of_the_pairs_and_not_that_of_the_medians() -> None:
    # pairs: 10/1 = 10, 100/20 = 5, 20/10 = 2; medians: 20/10 = 2
    row = Row("fit", "s", "less", thawline=[1.0, 20.0, 10.0], baseline=[10.0, 100.0, 20.0], goal=6.0)
    assert row.gains == [10.0, 5.0, 2.0]
    assert ratio(row) == "5.00x (2.00x to 10.0x)"
    assert row.reached is False


@pytest.mark.parametrize(
    ("compare", "thawline", "baseline", "gain"),
    [("less", 2.0, 8.0, 4.0), ("more", 8.0, 2.0, 4.0), ("share", 9.0, 10.0, 0.9), ("difference", 0.75, 0.5, 0.25)],
)
def test_gains_by_kind(compare: Any, thawline: float, baseline: float, gain: float) -> None:
    assert Row("r", "s", compare, [thawline], [baseline]).gains == [gain]


def test_nothing_at_all_is_infinitely_less() -> None:
    assert Row("r", "bytes", "less", [0.0], [8.0], goal=200.0).reached is True


def test_what_is_not_compared_is_neither_reached_nor_missed() -> None:
    assert Row("r", "accuracy", "difference", [0.7], goal=0.0).reached is None
    assert Row("r", "s", "less", [1.0], [2.0]).reached is None
    assert Row("r", "s", "less", [1.4, 1.6, 1.7], limit=1.5).reached is False


def test_further_epochs_cost_what_those_after_the_first_cost() -> None:
    # The first epoch ends at 15 s, the others take 10 s each, the end of the fit 1 s: 15 + 19 * 10 + 1.
    assert scaled_fit_s([15.0, 25.0, 35.0], 36.0, epochs=20) == pytest.approx(206.0)
    assert scaled_fit_s([15.0, 25.0, 35.0], 36.0, epochs=3) == 36.0


def test_one_epoch_tells_only_its_own_time() -> None:
    assert scaled_fit_s([15.0], 16.0, epochs=1) == 16.0
    with pytest.raises(ValueError, match="at least 2"):
        scaled_fit_s([15.0], 16.0, epochs=20)


def test_a_missed_goal_is_shown_as_missed() -> None:
    process_s = {"plain": [500.0], "thawline": [20.0]}
    row = Row("fit", "s", "less", thawline=[10.0], baseline=[400.0], goal=60.0, process_s=process_s)
    assert row_cells(row) == ["fit", "400 s", "10.0 s", "40.0x", "at least 60x", "**no**", "500 s / 20.0 s"]


def test_the_page_shows_every_kind_of_row() -> None:
    memory = Row("state", "bytes", "less", [40_960.0], [27_000_000.0], "full fine-tune", goal=200.0)
    accuracy = Row("accuracy", "accuracy", "difference", [0.7, 0.8], [0.75, 0.8], goal=0.0)
    steps = {"default": {f"{depth}/fp32": 10.0 + depth for depth in (0, 2, 9)}}
    cases = {
        "startup": case(Row("`--help`", "s", "less", [0.5], limit=1.5)),
        "memory": case(memory),
        "feature_extraction": case(accuracy),
        "training_step": case(images_per_s=steps, batch=32),
    }
    lines = render({"cases": cases}, page="speed").splitlines()
    assert "| `--help` | - | 0.50 s | - | at most 1.5 s | yes | - |" in lines
    assert "| state | 27.0 MB (full fine-tune) | 41.0 kB | 659x | at least 200x | yes | - |" in lines
    assert "| accuracy | 0.775 | 0.750 | -0.025 (-0.050 to +0.000) | no worse | **no** | - |" in lines
    assert "| last 2 stages | glibc's default | 12 |" in lines
    assert lines[-1].startswith("- 2 x86_64 cores with AVX512-bf16, torch 2.14.1, 2026-01-31, 3 repeats")
    assert lines[-1].endswith(": feature_extraction, memory, startup, training_step.")


def test_a_case_measured_anew_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "docs" / "speed.json"
    merge(path, "memory", {"rows": [1]})
    merge(path, "startup", {"rows": [2]})
    merge(path, "memory", {"rows": [3]})
    assert load(path) == {"cases": {"memory": {"rows": [3]}, "startup": {"rows": [2]}}}
    assert json.loads(path.read_text()) == load(path)


def test_a_gpu_has_files_of_its_own() -> None:
    assert file_name(MACHINE) == "speed"
    assert file_name({"cuda": True, "device": "NVIDIA H100 80GB HBM3"}) == "speed_nvidia_h100_80gb_hbm3"


def test_the_baseline_trains_the_same_modules() -> None:
    stages = build_backbone("tf_efficientnet_lite0", weights="none", image_size=64).stages
    without_weights = {"global_pool", "classifier"}
    assert [tuple(m for m in stage.modules if m not in without_weights) for stage in stages] == list(STAGES)


def test_every_measurement_of_the_benchmark_is_a_module_that_is_there() -> None:
    folder = Path(child.__file__).parent
    texts = [path.read_text(encoding="utf-8") for path in [folder.parent / "benchmark.py", *folder.glob("*.py")]]
    names = {name for text in texts for name in re.findall(r'run_module\(\s*"(\w+)"', text)}
    assert len(names) == 5
    assert names <= {path.stem for path in folder.glob("*.py")}


def test_a_measurement_runs_in_a_process_of_its_own() -> None:
    about, seconds = run_module("machine")
    assert "torch" in json.dumps(about)
    assert seconds > 0
