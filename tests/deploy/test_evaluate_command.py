"""python scripts/evaluate.py: what it prints, what it writes, and what it refuses."""

import csv
import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import thawline
from thawline.deploy.evaluated import Evaluated, against, evaluate, learned_from
from thawline.deploy.gallery import least_certain, shown, worst_mistakes
from thawline.deploy.labelled_images import labelled_images
from thawline.deploy.loaded import Model
from thawline.errors import UserError
from thawline.report.run_record import load_record

ROOT = Path(__file__).resolve().parents[2]
Made = Callable[[str], Path]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Arguments -> exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments), "--accelerator", "cpu"])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(ROOT / "scripts" / "evaluate.py"), run_name="__main__")
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def model(made: Made) -> Model:
    return thawline.load(made("stacked_probe"), accelerator="cpu", precision="32-true")


def evaluated(model: Model, place: Path) -> Evaluated:
    return evaluate(model, labelled_images(place, class_names=model.class_names), folder=Path("run"))


class Sources(HTMLParser):
    """What a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_a_run_on_its_test_images(command: Command, made: Made, colour_folder: Path, tmp_path: Path) -> None:
    run = made("stacked_probe")
    code, out, _ = command(run, colour_folder, "--out", tmp_path, "--gallery", 2)
    assert code == 0
    body = json.loads((tmp_path / "evaluation.json").read_text())
    record = load_record(run / "run.json")
    assert body["metrics"]["accuracy"] == pytest.approx(record.metrics["test/accuracy"], abs=1e-6)
    assert body["metrics"]["balanced_accuracy"] == pytest.approx(record.metrics["test/balanced_accuracy"], abs=1e-6)
    assert body["metrics"]["calibration_error"] == pytest.approx(record.calibration.ece_after, abs=1e-3)
    assert (body["data"]["images"], body["data"]["split"]) == (21, "test")
    assert np.sum(body["confusion"]["counts"]) == 21
    assert "note        of the splits train, val, test only test is evaluated" in out
    assert f"wrote       {tmp_path}/evaluation.html" in out
    rows = list(csv.DictReader((tmp_path / "predictions.csv").open()))
    assert list(rows[0])[:3] == ["path", "label", "probability"]
    assert sum(row["label"] == row["truth"] for row in rows) == body["accuracy"]["count"]


def test_the_page_needs_nothing_else(command: Command, made: Made, colour_folder: Path, tmp_path: Path) -> None:
    command(made("stacked_probe"), colour_folder / "test", "--out", tmp_path, "--gallery", 2)
    page = (tmp_path / "evaluation.html").read_text()
    sources = Sources()
    sources.feed(page)
    assert len(sources.links) >= 4  # two images with their heatmaps
    assert all(link.startswith("data:image/jpeg;base64,") for link in sources.links)
    assert "http" not in re.sub(r"base64,[^\"]+", "", page)
    assert page.count("<svg") == 2
    assert "width=device-width" in page
    assert "prefers-color-scheme: dark" in page
    command(made("stacked_probe"), colour_folder / "test", "--out", tmp_path, "--gallery", 2, "--heatmap-seconds", 0)
    sources = Sources()
    sources.feed((tmp_path / "evaluation.html").read_text())
    assert 2 <= len(sources.links) <= 4  # one for each image


def test_it_lies_in_the_folder_of_the_run_by_the_name_of_the_images(
    command: Command, made: Made, colour_folder: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(made("stacked_probe"), tmp_path / "run"))
    for verb in ("wrote", "replaced"):  # the second replaces the first
        code, out, _ = command(run / "model", colour_folder / "test", "--gallery", 0)
        assert code == 0
        assert out.count(f"\n{verb:12}{run}") == 3
    assert [path.name for path in (run / "evaluations").iterdir()] == ["test"]
    other = Path(shutil.copytree(colour_folder / "test", tmp_path / "other" / "test"))
    assert command(run, other, "--gallery", 0)[0] == 0
    assert command(run, run / "splits.csv", "--split", "val", "--gallery", 0)[0] == 0
    names = sorted(path.name for path in (run / "evaluations").iterdir())
    assert names == ["splits-val", "test", "test-2"]


def test_images_that_the_run_learned_from_are_no_test(command: Command, made: Made, tmp_path: Path) -> None:
    run = made("stacked_probe")
    code, out, _ = command(run, run / "splits.csv", "--split", "all", "--out", tmp_path, "--gallery", 0)
    assert code == 0
    assert "note        54 of these images were training or validation images of the run (splits.csv)" in out
    assert learned_from(run, [tmp_path / "new.png"]) == 0


def test_what_does_not_fit_is_counted_and_left_out(model: Model, colour_folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "images"
    for label, source in (("Red", "red"), ("blue", "blue"), ("pink", "red")):
        shutil.copytree(colour_folder / "test" / source, place / label)
    (place / "blue" / "0.png").write_bytes(b"<html>")
    got = evaluated(model, place)
    assert (len(got.paths), got.match.unknown, got.match.absent) == (13, {"pink": 7}, ["green"])
    assert [path.name for path in got.unreadable] == ["0.png"]
    right = got.scores.accuracy.count
    assert got.notes == [
        "the label 'Red' is taken for the class 'red'",
        "left out, of classes that the model does not know: 7 images, pink (7); counted as wrong they would make the "
        f"accuracy {right / 20:.4f}; where a label only has another name, rename it",
        "classes of the model without an image: green; means are over the others",
        f"left out, cannot be read: 1, the first is {place}/blue/0.png: cannot identify image file",
    ]
    present = [one.recall.value for one in got.scores.classes if one.images]
    assert got.scores.balanced_accuracy == pytest.approx(np.mean(present))


def test_one_class_is_evaluated_with_a_word_of_warning(model: Model, colour_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(colour_folder / "test" / "red", tmp_path / "images" / "red")
    got = evaluated(model, tmp_path / "images")
    assert got.scores.auroc is None
    assert "all images are of one class, red: the accuracy is its recall, and AUROC has no meaning" in got.notes


def test_no_readable_image_is_refused_with_the_first(model: Model, tmp_path: Path) -> None:
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"of 1 image none can be read, first: .*a\.png: the file is empty"):
        evaluated(model, tmp_path)


def test_the_gallery_shows_the_worst_first(model: Model, colour_folder: Path, tmp_path: Path) -> None:
    """Labels are turned round, so that most answers are wrong."""
    turned = {"red": "blue", "blue": "green", "green": "red"}
    for label, source in turned.items():
        shutil.copytree(colour_folder / "test" / source, tmp_path / label)
    got = evaluated(model, tmp_path)
    worst = [shown(got, n) for n in worst_mistakes(got, 5)]
    assert len(worst) == 5
    assert all(one.truth != one.label for one in worst)
    assert [one.truth_probability for one in worst] == sorted(one.truth_probability for one in worst)
    unsure = [shown(got, n).entropy for n in least_certain(got, 5)]
    assert unsure == sorted(unsure, reverse=True)
    assert unsure[0] == pytest.approx(got.entropies.max())


def test_a_model_against_itself_is_no_better(model: Model, made: Made, colour_folder: Path) -> None:
    first = evaluated(model, colour_folder / "test")
    same = against(first, model, folder=made("stacked_probe"))
    assert (same.paired.difference, same.paired.p_value, same.only_this, same.only_other) == (0, 1, [], [])
    assert same.this == same.other == first.scores


def test_two_models_in_the_output(command: Command, made: Made, colour_folder: Path, tmp_path: Path) -> None:
    runs = made("stacked_probe"), made("feature_extraction")
    code, out, _ = command(runs[0], colour_folder / "test", "--against", runs[1], "--out", tmp_path, "--gallery", 1)
    assert code == 0
    other = json.loads((tmp_path / "evaluation.json").read_text())["against"]
    accuracies = [load_record(run / "run.json").metrics["test/accuracy"] for run in runs]
    assert other["mcnemar"]["difference"] == pytest.approx(accuracies[0] - accuracies[1], abs=1e-6)
    assert len(other["only_this_right"]) == other["mcnemar"]["only_this"]
    assert "McNemar p" in out
    assert "Against another model" in (tmp_path / "evaluation.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere", "DIR"), "nowhere: no such folder; give the folder of a completed run, or a model folder"),
        (("RUN", "nowhere"), "nowhere: no such folder or file; give a folder of class folders, or a table"),
        (("RUN", "cats"), "cats: no label is a class of the model; labels are rod, tan; classes are blue, green, red; "
         "the nearest: rod and red"),
        (("RUN", "DIR", "--out", "file"), "file: is a file; name a folder with --out DIR"),
        (("RUN", "DIR", "--against", "nowhere"), "nowhere: no such folder"),
        (("RUN", "DIR", "--batch-size", "0"), "--batch-size 0: allowed are whole numbers from 1"),
        (("RUN", "DIR", "--gallery", "-1"), "--gallery -1: allowed are whole numbers from 0"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(
    command: Command, made: Made, colour_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    for name, source in (("tan", "red"), ("rod", "red")):
        shutil.copytree(colour_folder / "test" / source, tmp_path / "cats" / name)
    places = {"RUN": made("stacked_probe"), "DIR": colour_folder / "test"}
    code, _, err = command(*(places.get(argument, argument) for argument in arguments))
    assert code == 2
    (line,) = err.strip().splitlines()
    assert line.startswith(f"error: {says}")


def test_markup_in_a_name_is_text(command: Command, made: Made, colour_folder: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(colour_folder / "test" / "red", tmp_path / "<b>x" / "red"))
    command(made("stacked_probe"), place.parent, "--out", tmp_path / "out", "--gallery", 2, "--heatmap-seconds", 0)
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert "<b>x" not in page
    assert "&lt;b&gt;x" in page


@pytest.mark.slow
def test_neither_lightning_nor_hydra_is_imported(made: Made, colour_folder: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from thawline.commands.evaluate import main
sys.argv = ["evaluate.py", {str(made("stacked_probe"))!r}, {str(colour_folder / "test")!r}, "--out", {str(tmp_path)!r},
            "--gallery", "1"]
assert main() == 0
heavy = {{"lightning", "hydra", "omegaconf", "torchmetrics", "matplotlib"}}
print(sorted({{name.partition(".")[0] for name in sys.modules}} & heavy))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_a_reader_that_has_read_enough_does_not_stop_the_files(made: Made, colour_folder: Path, tmp_path: Path) -> None:
    script = ROOT / "scripts" / "evaluate.py"
    options = ["--out", tmp_path, "--gallery", "0", "--accelerator", "cpu"]
    command = list(map(str, [sys.executable, script, made("stacked_probe"), colour_folder / "test", *options]))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evaluation.html", "evaluation.json", "predictions.csv"]


def test_without_the_time_heatmaps_are_missing_and_the_reader_learns_of_it(
    command: Command, made: Made, colour_folder: Path, tmp_path: Path
) -> None:
    place = made("stacked_probe"), colour_folder / "test"
    out = command(*place, "--out", tmp_path, "--gallery", 3, "--heatmap-seconds", "1e-9")[1]
    assert re.search(r"note +\d of \d images without heatmaps: time was up; see --heatmap-seconds", out)
    assert "On the right" not in (tmp_path / "evaluation.html").read_text()
