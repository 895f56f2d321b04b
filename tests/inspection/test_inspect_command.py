"""python scripts/inspect_images.py: what it prints, writes and refuses."""

import csv
import json
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from thawline.commands.inspect_settings import reading_of
from thawline.inspection.inspected import Inspected
from thawline.inspection.inspection_files import ISSUE_COLUMNS, default_place, issues_csv

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Arguments -> exit code, stdout, stderr; in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["inspect_images.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(ROOT / "scripts" / "inspect_images.py"), run_name="__main__")
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


def test_a_faulty_folder_in_terminal_table_and_page(command: Command, faulty: Path, tmp_path: Path) -> None:
    before = sorted(faulty.rglob("*"))
    code, out, err = command(faulty, "--no-model")
    assert (code, err) == (0, "")
    place = tmp_path / "outputs" / "inspections" / faulty.name
    lines = out.splitlines()
    assert lines[0] == f"66 images of 3 classes in {faulty}, splits train, test"
    assert lines[1] == "files that cannot be read: 1"
    assert lines[3].startswith("    -> repair or delete them")
    assert "data.exclude=issues.csv" not in out
    assert "keeps one of each; data.group_by" in out
    assert ", ...\n" not in out
    assert "    train/a/02.png (a): the same file as train/b/conflict.png, which is b\n    and 1 more, below" in out
    table = Path("outputs", "inspections", faulty.name, "issues.csv")
    assert f"    -> scores are too high; data.exclude={table} keeps" in out
    command_line = f"thawline scenario=auto data=folder data.root={faulty} data.exclude={table}"
    assert lines[-1] == f"then train: {command_line}"
    rows = list(csv.DictReader((place / "issues.csv").open()))
    assert tuple(rows[0]) == ISSUE_COLUMNS
    assert rows[0]["path"] == "train/a/broken.png"
    assert {row["path"] for row in rows if row["issue"] == "imbalance"} == {""}
    body = json.loads((place / "issues.json").read_text())
    assert body["images"] | {"where": ""} == {
        "where": "", "number": 66, "readable": 65, "classes": {"a": 30, "b": 32, "c": 4},
        "splits": {"train": 53, "test": 13}, "concerned": 11,
    }  # fmt: skip
    assert [row["issue"] for row in body["issues"]] == [row["issue"] for row in rows]
    page = (place / "inspection.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 12
    assert "http" not in page
    assert f"data.exclude={table}" in page
    assert sorted(faulty.rglob("*")) == before


def test_names_are_text_everywhere(command: Command, tmp_path: Path) -> None:
    name = os.fsdecode(b"<b>[red]caf\xe9")
    folder = tmp_path / "images" / name
    folder.mkdir(parents=True)
    for copy in ("1,\n.png", "2.png"):
        Image.linear_gradient("L").save(folder / copy)
    code, out, _ = command(tmp_path / "images", "--no-model", "--out", tmp_path / "out")
    assert code == 0
    assert r"<b>[red]caf\xe9/2.png" in out
    assert "<b>[red]" not in (tmp_path / "out" / "inspection.html").read_text()
    with (tmp_path / "out" / "issues.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[-1]["path"] == f"{name}/2.png"


def test_bad_input_is_one_line_and_exit_code_2(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for arguments, says in (
        ((tmp_path / "none",), "no such folder or file"),
        ((tmp_path / "empty",), "holds no image"),
        ((tmp_path / "file",), "allowed are files of the kinds"),
        ((tmp_path / "empty", "--out", tmp_path / "file"), "is a file; name a folder with --out DIR"),
        ((tmp_path / "empty", "--gallery", -1), "--gallery -1: allowed are"),
    ):
        code, _, err = command(*arguments)
        assert code == 2
        (line,) = err.strip().splitlines()
        assert line.startswith("error: ")
        assert says in line


def test_another_folder_of_the_same_name_gets_a_number(command: Command, files_only: Inspected, tmp_path: Path) -> None:
    first, second = tmp_path / "x" / "images", tmp_path / "y" / "images"
    for folder in (first, second):
        (folder / "a").mkdir(parents=True)
        Image.linear_gradient("L").save(folder / "a" / "0.png")
    command(first, "--no-model")
    assert default_place(first) == Path("outputs/inspections/images")
    assert default_place(second) == Path("outputs/inspections/images-2")
    assert issues_csv(files_only).splitlines()[0] == b"path,issue,score,class,detail,suggestion"


def test_where_there_are_two_readings_the_settings_of_a_run_choose_one(command: Command, tmp_path: Path) -> None:
    for number in range(8):
        path = tmp_path / "fruit" / ("lab", "field")[number % 2] / ("ripe", "raw")[number // 2 % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (30 * number, 90, 40)).save(path)
    out = ("--no-model", "--out", tmp_path / "out")
    code, _, err = command(tmp_path / "fruit", *out)
    assert code == 2
    assert "for the classes raw, ripe add data.class_level=2" in err
    code, text, _ = command(tmp_path / "fruit", "data.class_level=2", *out)
    assert code == 0
    assert text.splitlines()[0].startswith("8 images of 2 classes")
    assert f"data=folder data.root={tmp_path}/fruit data.class_level=2" in text
    code, text, _ = command(tmp_path / "fruit", *out, "data.leave_out=[lab, other]")
    assert text.splitlines()[0].startswith("4 images of 2 classes")
    (tmp_path / "t.csv").write_text("file,label\nfruit/lab/ripe/0.png,a\nfruit/lab/raw/2.png,b\n")
    assert "name it with data.columns.path=NAME" in command(tmp_path / "t.csv", *out)[2]
    assert command(tmp_path / "t.csv", "data.columns.path=file", *out)[0] == 0


def test_names_are_listed_as_for_a_run() -> None:
    assert reading_of(["data.leave_out=['a, b',c]"], table=False).leave_out == ["a, b", "c"]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (
            "data.channels=[0]",
            "not known here; allowed are DIR and data.class_level, data.leave_out, ",
        ),
        ("data.class_level=a", "data.class_level=a: give a whole number"),
        ("data.leave_out=lab", "give a list, data.leave_out=[lab]"),
        ("data.columns.path=x", "has no effect on a folder"),
    ],
)
def test_a_setting_that_does_not_fit_is_one_line(command: Command, tmp_path: Path, setting: str, says: str) -> None:
    code, _, err = command(tmp_path, setting, "--no-model")
    assert code == 2
    assert says in err
