"""What is grouped, how it is named, what is skipped, and what the tables say."""

import csv
import io
from pathlib import Path

import pytest
from made_up import depth_sweep, write_run

from thawline.commands.compare import left_out_lines
from thawline.errors import UserError
from thawline.report.collect import collect, with_metric
from thawline.report.comparison import compare
from thawline.report.comparison_table import csv_text, markdown


def test_runs_that_differ_in_the_seed_alone_are_one_group(tmp_path: Path) -> None:
    runs, skipped = collect([depth_sweep(tmp_path)])
    assert not skipped
    (comparison,) = compare(runs, metric="test/accuracy")
    assert [row.group.name for row in comparison.rows] == ["unfreeze_depth=2", "unfreeze_depth=all", "unfreeze_depth=0"]
    assert [[run.record.seed for run in row.group.runs] for row in comparison.rows] == [[0, 1, 2]] * 3
    assert [round(row.score.mean, 6) for row in comparison.rows] == [0.81, 0.76, 0.71]
    assert [sorted(row.efficient) for row in comparison.rows] == [
        ["fit_s", "peak_memory_bytes", "train_flops", "wall_s"],
        [],
        ["fit_s", "wall_s"],
    ]
    assert compare(runs, metric="test/loss")[0].rows[0].group.name == "unfreeze_depth=2"  # the lowest first


def test_names_hold_the_fewest_settings_that_tell_groups_apart(tmp_path: Path) -> None:
    write_run(tmp_path / "a", depth=2, seed=0, accuracy=0.5)
    write_run(tmp_path / "b", depth=2, seed=0, accuracy=0.6, settings={"optim.lr": 0.1, "z": 1})
    write_run(tmp_path / "c", depth=2, seed=0, accuracy=0.7, settings={"optim.lr": 0.1, "z": 2})
    names = {row.group.name for row in compare(collect([tmp_path])[0], metric="test/accuracy")[0].rows}
    assert names == {"lr=0.001 z=None", "lr=0.1 z=1", "lr=0.1 z=2"}


def test_only_runs_on_the_same_images_are_set_side_by_side(tmp_path: Path) -> None:
    depth_sweep(tmp_path)
    easy = {"name": "digits", "fingerprint": "xyz", "num_train": 1100}
    write_run(tmp_path / "easy", depth=0, seed=1, accuracy=0.99, fit_s=50.0, data=easy)
    runs = collect([tmp_path])[0]
    hard, other = compare(runs, metric="test/accuracy", baseline=tmp_path / "0_0")
    assert (hard.data, other.data) == ("solar_cells", "digits: 1,100 training images")
    assert (len(hard.rows), len(other.rows)) == (3, 1)
    assert hard.rows[0].efficient  # though another is better on easier images
    assert (hard.baseline, other.baseline) == ("unfreeze_depth=0", None)
    assert markdown([hard, other]).count("### ") == 2
    rows = list(csv.DictReader(io.StringIO(csv_text([hard, other]))))
    assert [row["data"] for row in rows] == ["solar_cells"] * 3 + ["digits: 1,100 training images"]


def test_a_configuration_has_the_same_name_beside_all_images(tmp_path: Path) -> None:
    easy = {"name": "digits", "fingerprint": "xyz"}
    write_run(tmp_path / "a", depth=2, seed=0, accuracy=0.5)
    write_run(tmp_path / "b", depth=0, seed=0, accuracy=0.6)
    write_run(tmp_path / "c", depth=2, seed=0, accuracy=0.9, data=easy)
    hard, other = compare(collect([tmp_path])[0], metric="test/accuracy")
    assert [row.group.name for row in hard.rows] == ["unfreeze_depth=0", "unfreeze_depth=2"]
    assert [row.group.name for row in other.rows] == ["unfreeze_depth=2"]


def test_what_failed_before_training_is_one_line_and_the_others_are_named_below_the_folder(tmp_path: Path) -> None:
    write_run(tmp_path / "good", depth=0, seed=0, accuracy=0.5)
    long = "ValueError: " + "no " * 99
    for name, doing in (("auto/typo", "preparing"), ("auto/typo2", "preparing"), ("auto/late", "training")):
        failed = {"status": "failed", "error": long, "progress": {"doing": doing}}
        write_run(tmp_path / name, depth=0, seed=1, accuracy=0.5, **failed)
    skipped = collect([tmp_path])[1]
    number, late, early = left_out_lines(skipped, every=False)
    assert number == "left out: 1"
    assert late.startswith("  auto/late: failed while training (ValueError: no no")
    assert (late[-3:], len(late) < 140) == ("...", True)
    assert early == "left out: 2 runs that failed before training began; --all names each"
    whole = left_out_lines(skipped, every=True)
    assert [line.partition(":")[0] for line in whole] == ["left out", "  auto/late", "  auto/typo", "  auto/typo2"]
    assert long in whole[1]
    assert collect([tmp_path / "good", tmp_path / "auto" / "typo"])[1][0].name == "typo"


def test_images_of_one_name_are_told_apart_by_their_fingerprint(tmp_path: Path) -> None:
    write_run(tmp_path / "a", depth=2, seed=0, accuracy=0.5)
    write_run(tmp_path / "b", depth=2, seed=1, accuracy=0.6, data={"name": "solar_cells", "fingerprint": "xyz"})
    comparisons = compare(collect([tmp_path])[0], metric="test/accuracy")
    assert [one.data for one in comparisons] == ["solar_cells (abc)", "solar_cells (xyz)"]


def test_differences_are_from_the_baselines_group(tmp_path: Path) -> None:
    runs, _ = collect([depth_sweep(tmp_path)])
    (comparison,) = compare(runs, metric="test/accuracy", baseline=tmp_path / "0_1")
    assert comparison.baseline == "unfreeze_depth=0"
    differences = [row.difference.mean for row in comparison.rows if row.difference]
    assert differences == [pytest.approx(0.10), pytest.approx(0.05), pytest.approx(0.0)]
    with pytest.raises(
        UserError, match=r"--baseline .*nowhere: not among the runs compared; one run of each group: 0_0"
    ):
        compare(runs, metric="test/accuracy", baseline=Path("nowhere"))


def test_what_cannot_be_compared_is_left_out_with_its_reason(tmp_path: Path) -> None:
    write_run(tmp_path / "good", depth=0, seed=0, accuracy=0.5)
    write_run(tmp_path / "going_on", depth=0, seed=1, accuracy=0.5, status="running")
    write_run(tmp_path / "broken", depth=0, seed=2, accuracy=0.5, status="failed", error="ValueError: no")
    write_run(tmp_path / "other", depth=0, seed=3, accuracy=0.5, metrics={"val/accuracy": 0.4})
    write_run(tmp_path / "text", depth=0, seed=4, accuracy=0.5, metrics={"test/accuracy": "high"})
    write_run(
        tmp_path / "diverged", depth=0, seed=5, accuracy=0.5, metrics={"test/accuracy": None}
    )  # as NaN is written
    write_run(tmp_path / "costless", depth=0, seed=6, accuracy=0.5, cost=None)
    for name, content in (("half", '{"schema": 1, "run'), ("future", '{"schema": 99}'), ("list", "[1]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(content)
    runs, skipped = collect([tmp_path])
    runs, lacking = with_metric(runs, "test/accuracy")
    assert [run.folder.name for run in runs] == ["good"]
    reasons = {one.path.parent.name: one.reason for one in [*skipped, *lacking]}
    assert reasons["going_on"] == "still running, or killed"
    assert reasons["broken"] == "failed (ValueError: no)"
    assert reasons["other"] == "has no test/accuracy"
    assert reasons["text"] == "not a run record (metrics['test/accuracy'] is 'high', not float)"
    assert reasons["diverged"] == "test/accuracy is no finite number"
    assert reasons["costless"] == "not a run record (cost: a section is no mapping)"
    assert reasons["half"].startswith("not a readable run record")
    assert reasons["future"] == reasons["list"] == "not a run record of schema 1"


def test_steps_of_a_run_are_left_out_but_for_a_folder_of_theirs(tmp_path: Path) -> None:
    write_run(tmp_path / "auto", depth=2, seed=0, accuracy=0.6)
    write_run(tmp_path / "auto" / "rungs" / "1_stacked_probe", depth=0, seed=0, accuracy=0.5)
    write_run(tmp_path / "auto" / "rungs" / "2_blend_2", depth=2, seed=0, accuracy=0.6)
    for path in (tmp_path, tmp_path / "auto"):
        assert [run.folder.name for run in collect([path])[0]] == ["auto"]
    inside = collect([tmp_path / "auto" / "rungs"])[0]
    assert [run.folder.name for run in inside] == ["1_stacked_probe", "2_blend_2"]


def test_a_cost_that_is_not_known_is_not_taken_as_none(tmp_path: Path) -> None:
    depth_sweep(tmp_path)
    write_run(tmp_path / "0_3", depth=0, seed=3, accuracy=0.7, cost={})
    write_run(tmp_path / "4_0", depth=4, seed=0, accuracy=0.9, cost={})
    (comparison,) = compare(collect([tmp_path])[0], metric="test/accuracy")
    rows = {row.group.name: row for row in comparison.rows}
    assert rows["unfreeze_depth=0"].costs["fit_s"] == 5.0  # of the three that tell it
    assert not rows["unfreeze_depth=4"].efficient
    assert "| unfreeze_depth=4 | 1 | 0.900 | 10.0% | - | - | - | - |" in markdown([comparison])


@pytest.mark.parametrize(("name", "says"), [("nowhere", "no such file or folder"), ("", "no run.json was found")])
def test_nothing_to_compare_is_one_line(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        collect([tmp_path / name])


def test_an_unknown_metric_lists_those_present(tmp_path: Path) -> None:
    runs, _ = collect([depth_sweep(tmp_path)])
    with pytest.raises(UserError, match=r"--metric f1: no run has it; present are test/accuracy, test/loss, val/acc"):
        with_metric(runs, "f1")


def test_the_markdown_table_has_a_row_per_group(tmp_path: Path) -> None:
    lines = markdown(compare(collect([depth_sweep(tmp_path)])[0], metric="test/accuracy")).splitlines()
    assert lines[0].startswith(
        "| runs of | seeds | test/accuracy | trained | total, s | fit, s | TFLOP | GB | frozen |"
    )
    assert lines[2].startswith(
        "| unfreeze_depth=2 | 3 | 0.810 (0.800 to 0.820) | 10.0% | 15.0* | 10.0* | 1* | 2.0* | verified |"
    )
    assert len(lines) == 5


def test_the_csv_holds_full_numbers(tmp_path: Path) -> None:
    runs, _ = collect([depth_sweep(tmp_path)])
    rows = list(csv.DictReader(io.StringIO(csv_text(compare(runs, metric="test/accuracy", baseline=tmp_path / "0_0")))))
    assert [row["group"] for row in rows] == ["unfreeze_depth=2", "unfreeze_depth=all", "unfreeze_depth=0"]
    assert float(rows[0]["test/accuracy_mean"]) == pytest.approx(0.81)
    assert float(rows[0]["difference_mean"]) == pytest.approx(0.1)
    assert (rows[0]["pareto_fit_s"], rows[1]["pareto_fit_s"]) == ("True", "False")


def test_the_balanced_accuracy_stands_beside_where_the_classes_differ_in_size(tmp_path: Path) -> None:
    metrics = {"test/accuracy": 0.9, "test/balanced_accuracy": 0.55, "test/loss": 0.3}
    classes = {"names": ["a", "b"], "confusion": [[88, 2], [9, 1]]}
    write_run(tmp_path / "skewed", depth=2, seed=0, accuracy=0.9, metrics=metrics, classes=classes)
    skewed, _ = collect([tmp_path / "skewed"])
    assert "| runs of | seeds | test/accuracy | balanced |" in markdown(compare(skewed, metric="test/accuracy"))
    assert "| 0.55" in markdown(compare(skewed, metric="test/accuracy"))
    assert "| balanced |" not in markdown(compare(skewed, metric="test/balanced_accuracy"))
    even = {"names": ["a", "b"], "confusion": [[29, 0], [1, 9]]}  # 2.9 times
    write_run(tmp_path / "even", depth=2, seed=0, accuracy=0.9, metrics=metrics, classes=even)
    assert "balanced" not in markdown(compare(collect([tmp_path / "even"])[0], metric="test/accuracy"))
