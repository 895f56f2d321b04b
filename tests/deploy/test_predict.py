"""predict from the command line: every file a row, in order; interrupted and gone on with."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from model_json import read_values, write_values
from PIL import Image
from predict_command import SCRIPT, predict

import thawline
from thawline.deploy import prediction_pass
from thawline.deploy.inference import InferenceModel
from thawline.deploy.prediction_pass import Wanted, predicted, with_thread_choice
from thawline.errors import UserError
from thawline.machine.thread_trial import threads_restored
from thawline.report.run_record import load_record

Made = Callable[[str], Path]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def mixed(colour_folder: Path, tmp_path: Path) -> list[Path]:
    """40 images, among them one cut short, one empty, one that is a text, and one that is gone."""
    good = sorted((colour_folder / "test").glob("*/*.png"))
    paths = (good * 2)[:40]
    for place, content in ((3, good[0].read_bytes()[:60]), (4, b""), (5, b"no image")):
        paths[place] = tmp_path / f"bad{place}.png"
        paths[place].write_bytes(content)
    paths[39] = tmp_path / "gone.png"
    return paths


@pytest.fixture
def listed_in(mixed: Sequence[Path], tmp_path: Path) -> Path:
    (tmp_path / "all.txt").write_text("".join(f"{path}\n" for path in mixed))
    return tmp_path / "all.txt"


def test_the_test_split_has_the_accuracy_of_the_run(
    made: Made, colour_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = made("stacked_probe"), tmp_path / "predictions.csv"
    capsys.readouterr()  # what making the run prints
    assert predict(monkeypatch, run, colour_folder / "test", "--out", out) == 0
    rows = table(out)
    right = sum(row["label"] == Path(row["path"]).parent.name for row in rows)
    assert right / len(rows) == pytest.approx(load_record(run / "run.json").metrics["test/accuracy"], abs=1e-6)
    assert list(rows[0]) == ["path", "label", "probability", "entropy", "unknown_score", "top2", "top3", "error"]
    output = capsys.readouterr().out
    assert output.startswith("21 images, ")
    assert f"wrote  {out}" in output


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (7, 0), (64, 0), (8, 2)])
def test_rows_are_those_of_the_model_whatever_the_batch(
    made: Made, mixed: list[Path], monkeypatch: pytest.MonkeyPatch, batch: int, workers: int
) -> None:
    monkeypatch.setattr("thawline.deploy.prediction_pass._WORTH_WORKERS", 0)
    model = thawline.load(made("blend"), accelerator="cpu")
    wanted = Wanted([str(path) for path in mixed], top=3, batch=batch, workers=workers)
    rows = [row for rows in predicted(model, wanted) for row in rows]
    expected = model.predict(mixed, batch=32)
    assert [row[:2] for row in rows] == [(str(path), one.label) for path, one in zip(mixed, expected, strict=True)]
    assert [row[-1] for row in rows] == [one.error for one in expected]
    assert [place for place, row in enumerate(rows) if row[-1]] == [3, 4, 5, 39]
    assert all(row[2] == pytest.approx(one.probability, abs=1e-4) for row, one in zip(rows, expected, strict=True))
    later = [row for part in predicted(model, wanted, start=33) for row in part]  # in other batches
    for row, other in zip(later, rows[33:], strict=True):
        assert (row[:2], row[-1]) == (other[:2], other[-1])
        assert row[2:5] == pytest.approx(other[2:5], abs=1e-3)


def test_files_that_cannot_be_read_are_rows_even_where_all_are(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(40):
        (tmp_path / f"{number:02}.png").write_bytes(b"no image")
    out = tmp_path / "p.csv"
    assert predict(monkeypatch, made("stacked_probe"), tmp_path, "--out", out, "--batch-size", 8) == 0
    assert [Path(row["path"]).stem for row in table(out)] == [f"{number:02}" for number in range(40)]
    assert all(row["error"].startswith("unreadable image ") and not row["label"] for row in table(out))
    assert "unreadable: 40; why stands in the column error" in capsys.readouterr().out


def test_a_strange_failure_in_one_file_is_its_row(
    made: Made, mixed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = thawline.load(made("stacked_probe"), accelerator="cpu")
    transform = model.transform

    def fails_once(image: object) -> torch.Tensor:
        monkeypatch.setattr(model, "transform", transform)
        raise MemoryError

    calls = iter([fails_once])
    model.transform = lambda image: next(calls, transform)(image)  # type: ignore[arg-type]
    (rows,) = predicted(model, Wanted([str(path) for path in mixed[:3]], top=1))
    assert [row[-1] for row in rows] == [f"unreadable image {mixed[0]}: MemoryError", None, None]


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """Also where the tests run as a job in the background, which is deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_same_command_goes_on_where_it_was_interrupted(
    made: Made, listed_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    number: int, code: int,
) -> None:  # fmt: skip
    run, whole, parts = made("stacked_probe"), tmp_path / "whole.csv", tmp_path / "parts.csv"
    assert predict(monkeypatch, run, listed_in, "--out", whole, "--batch-size", 4) == 0
    asked, plain = [], InferenceModel.scored

    def interrupted(self: InferenceModel, images: torch.Tensor) -> torch.Tensor:
        asked.append(len(images))
        if len(asked) == 4:
            os.kill(os.getpid(), number)
        return plain(self, images)

    monkeypatch.setattr(InferenceModel, "scored", interrupted)
    assert predict(monkeypatch, run, listed_in, "--out", parts, "--batch-size", 4) == code
    output = capsys.readouterr().err
    assert output == "interrupted after 12 of 40 images; the same command, without --overwrite, goes on\n"
    assert predict(monkeypatch, run, listed_in, "--out", parts, "--batch-size", 4) == 0
    assert sum(asked) == 36 + 4  # readable images; the batch that was interrupted is computed again
    assert parts.read_bytes() == whole.read_bytes()
    assert "40 images (12 of them before)" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.glob("parts*")) == ["parts.csv"]


def threshold_of(folder: Path, value: float | None) -> Path:
    """Write the threshold into a model folder."""
    values = read_values(folder)
    values["unknown"] |= {"threshold": value, "share": 0.05}
    write_values(folder, values)
    return folder


def test_far_images_are_unknown_where_asked(
    copied: Path, colour_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    images, out = colour_folder / "test", tmp_path / "p.csv"
    model = thawline.load(threshold_of(copied, 0.5), accelerator="cpu")
    expected = model.predict(images)
    far = [one.unknown for one in expected]
    assert 0 < sum(map(bool, far)) < len(far)
    assert far == [float(one.unknown_score or 0) >= 0.5 for one in expected]
    assert predict(monkeypatch, copied, images, "--out", out, "--unknown", "--copy-to", tmp_path / "sorted") == 0
    rows = table(out)
    assert [row["label"] == "unknown" for row in rows] == far
    assert [row["probability"] == "" for row in rows] == far
    assert [row["top1"].rpartition(" ")[0] for row in rows] == [one.label for one in expected]
    output = capsys.readouterr().out
    assert f"unknown  {sum(map(bool, far))}" in output
    assert (
        f"perhaps unknown: {sum(map(bool, far))} of {len(far)} images, with an unknown_score from 0.5000 on" in output
    )
    assert len(list((tmp_path / "sorted" / "unknown").iterdir())) == sum(map(bool, far))
    threshold_of(copied, None)
    assert predict(monkeypatch, copied, images, "--out", tmp_path / "q.csv", "--unknown") == 2
    assert "--unknown: model.json holds no threshold" in capsys.readouterr().err


def test_heatmaps_of_the_first_images_are_written(
    made: Made, colour_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images, run, heat = colour_folder / "test" / "red", made("feature_extraction"), tmp_path / "heat"
    for name in ("bad.png", "x.csv"):
        (tmp_path / name).write_bytes(b"")
    arguments = (run, tmp_path / "bad.png", images, "--explain", heat, "--explain-most", 2)
    assert predict(monkeypatch, *arguments, "--out", tmp_path / "p.csv") == 0
    rows = table(tmp_path / "p.csv")
    pictures = sorted(heat.glob("*/*.jpg"))
    assert {(path.parent.name, path.stem.split("-")[0]) for path in pictures} == {
        (row["label"], Path(row["path"]).stem) for row in rows[1:3]
    }
    assert Image.open(pictures[0]).size == (32, 32)
    output = capsys.readouterr().out
    assert "heatmaps of the first 2 images; --explain-most N makes others" in output
    assert f"wrote  {heat}" in output
    assert predict(monkeypatch, run, images, "--explain", images / "heat") == 2
    assert f"--explain {images / 'heat'}: lies in" in capsys.readouterr().err


def test_threads_are_measured_after_the_first_rows(
    made: Made, mixed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, paths = thawline.load(made("stacked_probe"), accelerator="cpu"), [str(path) for path in mixed]
    measured: list[tuple[int, ...]] = []
    monkeypatch.setattr(prediction_pass, "_WORTH_A_TRIAL", 40)
    monkeypatch.setattr(prediction_pass, "candidates", lambda setting: (2, 1))
    monkeypatch.setattr(prediction_pass, "fastest", lambda step, numbers: measured.append(numbers))
    with threads_restored():
        batches = with_thread_choice(model, predicted(model, Wanted(paths, batch=8)), len(paths))
        first = next(batches)
        assert (measured, torch.get_num_threads()) == ([], 1)
        rows = [*first, *(row for rows in batches for row in rows)]
    assert measured == [(2, 1)]
    assert [row[0] for row in rows] == paths


@pytest.mark.slow
def test_a_killed_process_is_gone_on_with(made: Made, mixed: list[Path], tmp_path: Path) -> None:
    """SIGKILL at any moment: the rows are those of a command that was left alone."""
    names = "".join(f"{path}\n" for path in mixed * 100)
    (tmp_path / "all.txt").write_text(names)
    out, about = tmp_path / "p.csv", tmp_path / "p.csv.unfinished.json"
    command = [sys.executable, str(SCRIPT), str(made("stacked_probe")), str(tmp_path / "all.txt"), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None and (not about.exists() or '"done": 0,' in about.read_text()):
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not out.exists()
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert "of them before)" in done.stdout
    rows = table(out)
    assert [row["path"] for row in rows] == names.splitlines()
    assert {row["error"] != "" for row in rows[3:6]} == {True}


def test_only_sure_answers_are_kept_and_sorted(
    made: Made, listed_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, every, sure = made("stacked_probe"), tmp_path / "every.csv", tmp_path / "sure.csv"
    assert predict(monkeypatch, run, listed_in, "--out", every) == 0
    probabilities = sorted(float(row["probability"]) for row in table(every) if row["label"])
    limit = probabilities[len(probabilities) // 2]
    arguments = (run, listed_in, "--out", sure, "--only-above", limit, "--copy-to", tmp_path / "sorted")
    assert predict(monkeypatch, *arguments) == 0
    kept = [row for row in table(every) if row["error"] or float(row["probability"]) >= limit]
    assert table(sure) == kept
    copies = {(path.parent.name, path.read_bytes()) for path in (tmp_path / "sorted").glob("*/*")}
    assert copies == {(row["label"], Path(row["path"]).read_bytes()) for row in kept if row["label"]}
    assert f"left out for a probability below {limit}: {40 - len(kept)}" in capsys.readouterr().out


def test_a_pipe_gets_csv_and_a_terminal_a_table(
    made: Made, listed_in: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made("stacked_probe")
    capsys.readouterr()  # what making the run prints
    assert predict(monkeypatch, run, listed_in) == 0
    out, err = capsys.readouterr()
    assert out.startswith("path,label,probability,")
    assert len(list(csv.reader(out.splitlines()))) == 41
    assert err.startswith("40 images, ")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")  # one without colours
    assert predict(monkeypatch, run, listed_in) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["path", "label", "probability", "then"]
    assert out.count("unreadable image ") == 3  # of the first rows
    assert "40 images, " in out
    assert "path,label" not in out


def test_a_reader_that_has_read_enough_is_no_error(made: Made, listed_in: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(made("stacked_probe")), str(listed_in)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_it_imports_neither_lightning_nor_hydra(made: Made, listed_in: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from thawline.commands.predict import main
sys.argv = ["predict", {str(made("stacked_probe"))!r}, {str(listed_in)!r}, "--out", {str(tmp_path / "p.csv")!r}]
main()
heavy = {{"lightning", "hydra", "omegaconf", "torchmetrics"}}
print(sorted({{name.partition(".")[0] for name in sys.modules}} & heavy))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere", "IMAGES"), "nowhere: no such folder; give the folder of a completed run, or a model folder"),
        (("RUN", "gone.jpg"), "gone.jpg: no such file or folder"),
        (("RUN", "empty"), "empty: holds no image"),
        (("RUN", "IMAGES", "--out", "p.xls"), "--out p.xls: its ending says how to write; allowed are .csv"),
        (("RUN", "IMAGES", "--out", "no/p.csv"), "--out no/p.csv: there is no folder no; make it first"),
        (("RUN", "IMAGES", "--out", "old.csv"), "--out old.csv: is there already; name another file, or add --over"),
        (("RUN", "IMAGES", "--copy-to", "IMAGES/sorted"), "whose images are predicted"),
        (("failed", "IMAGES"), "the run is failed; a model is written when a run completes"),
    ],
)
def test_bad_input_is_one_line(
    made: Made, colour_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "old.csv").write_text("path\n")
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / "run.json").write_text(
        (made("stacked_probe") / "run.json").read_text().replace('"completed"', '"failed"')
    )
    places = {"RUN": str(made("stacked_probe")), "IMAGES": str(colour_folder / "test")}
    words = ["/".join(places.get(part, part) for part in word.split("/")) for word in arguments]
    assert predict(monkeypatch, *words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line


@pytest.mark.parametrize("option", ["--only-above=2", "--top=0", "--batch-size=0", "--workers=-1"])
def test_a_number_out_of_its_range_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert predict(monkeypatch, "RUN", "x.jpg", option) == 2
    assert "allowed are " in capsys.readouterr().err.splitlines()[-1]


def test_the_list_of_an_interrupted_command_must_be_the_same(
    made: Made, listed_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> torch.Tensor:
        raise UserError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(InferenceModel, "scored", stop)
        assert predict(monkeypatch, made("stacked_probe"), listed_in, "--out", tmp_path / "p.csv") == 2
    assert capsys.readouterr().err == "error: stopped\n"
    listed_in.write_text(listed_in.read_text() + "more.png\n")
    assert predict(monkeypatch, made("blend"), listed_in, "--out", tmp_path / "p.csv", "--top", 2) == 2
    assert "with another model and another list of images and another --top" in capsys.readouterr().err
