"""Files of predictions: what each kind holds, and how an interrupted one goes on."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from thawline.deploy import prediction_files
from thawline.deploy.prediction_files import PredictionFile, Written, checked
from thawline.deploy.prediction_rows import Ranked, Row, columns, fields, label_of
from thawline.errors import UserError

COLUMNS = columns(2)
NAMES = ("a.jpg", 'two\nlines, "quoted".jpg', os.fsdecode(b"caf\xe9.jpg"), "日本.jpg", "e.jpg", "f.jpg")
ROWS: list[Row] = [(name, "x", 0.75, 0.5, None, Ranked("big y", 0.25), None) for name in NAMES]
ROWS[4] = ("e.jpg", None, None, None, None, None, "unreadable image e.jpg: why")
OF = {"model": "m", "list of images": "l"}


class Killed(BaseException):
    """As SIGKILL: nothing is saved on the way out."""


def write(path: Path, rows: Sequence[Row], *, stop: BaseException | None = None, overwrite: bool = False) -> Written:
    """Write two rows at a time from where the file is; `stop` after all of them."""
    with PredictionFile(path, COLUMNS, of=OF, overwrite=overwrite) as file:
        for start in range(file.written.done, len(rows), 2):
            some = rows[start : start + 2]
            file.write(some, file.written.after([label_of(row) for row in some]))
        if stop is not None:
            raise stop
    return file.written


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_an_interrupted_file_becomes_the_same_as_one_written_at_once(tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow.parquet")
    whole, parts = tmp_path / "a" / f"p.{kind}", tmp_path / "b" / f"p.{kind}"
    whole.parent.mkdir()
    parts.parent.mkdir()
    written = write(whole, ROWS)
    with pytest.raises(KeyboardInterrupt):
        write(parts, ROWS[:4], stop=KeyboardInterrupt())
    assert left(parts.parent) == [f"p.{kind}.unfinished", f"p.{kind}.unfinished.json"]
    assert write(parts, ROWS) == written
    assert parts.read_bytes() == whole.read_bytes()
    assert left(parts.parent) == [f"p.{kind}"]
    assert (written.done, written.counts, written.unreadable) == (6, {"x": 5}, 1)


def test_after_a_kill_rows_that_were_not_counted_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.csv"
    with pytest.raises(KeyboardInterrupt):
        write(path, ROWS[:2], stop=KeyboardInterrupt())
    with monkeypatch.context() as patch:
        patch.setattr(PredictionFile, "_save", lambda self: None)
        with pytest.raises(Killed):
            write(path, ROWS, stop=Killed())
    unfinished = tmp_path / "p.csv.unfinished"
    assert unfinished.read_text(encoding="utf-8").count("unreadable") == 1  # row 5 is there, and not counted
    unfinished.write_bytes(unfinished.read_bytes()[:-3])  # and the last is half written
    assert write(path, ROWS).done == 6
    write(tmp_path / "once.csv", ROWS)
    assert path.read_bytes() == (tmp_path / "once.csv").read_bytes()


def test_rows_that_are_gone_are_made_again(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    with pytest.raises(KeyboardInterrupt):
        write(path, ROWS[:4], stop=KeyboardInterrupt())
    (tmp_path / "p.csv.unfinished").write_bytes(b"path")  # shorter than what was counted
    assert write(path, ROWS).done == 6
    assert len(list(csv.reader(path.open(encoding="utf-8", newline="")))) == 7


@pytest.mark.parametrize("key", ["bytes", "done"])
def test_a_count_that_is_no_whole_number_begins_anew(tmp_path: Path, key: str) -> None:
    path, about = tmp_path / "p.csv", tmp_path / "p.csv.unfinished.json"
    with pytest.raises(KeyboardInterrupt):
        write(path, ROWS[:4], stop=KeyboardInterrupt())
    about.write_text(json.dumps(json.loads(about.read_text()) | {key: 2.0}))
    assert write(path, ROWS).done == 6
    assert len(list(csv.reader(path.open(encoding="utf-8", newline="")))) == 7


def test_csv_and_json_lines_hold_every_name(tmp_path: Path) -> None:
    write(tmp_path / "p.csv", ROWS)
    write(tmp_path / "p.jsonl", ROWS)
    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert ",".join(header).startswith("path,label,probability,entropy,unknown_score,top2,error")
    assert [row[0] for row in rows] == [NAMES[0], NAMES[1], "caf\\udce9.jpg", *NAMES[3:]]
    assert rows[4][1:] == ["", "", "", "", "", "unreadable image e.jpg: why"]
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["path"] for line in lines] == list(NAMES)
    top = [{"label": "x", "probability": 0.75}, {"label": "big y", "probability": 0.25}]
    assert lines[0] == {
        **dict(zip(COLUMNS[:5], ROWS[0][:5], strict=True)),
        "top": top,
        "error": None,
    }
    assert lines[4]["top"] is None
    assert rows[0][5] == "big y 0.250000"


def test_parquet_has_numbers_and_nothing_where_there_is_none(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write(tmp_path / "p.parquet", ROWS)
    table = parquet.read_table(tmp_path / "p.parquet")
    assert table.column_names == fields(COLUMNS)
    top = [{"label": "x", "probability": 0.75}, {"label": "big y", "probability": 0.25}]
    assert table.column("top").to_pylist() == [top] * 4 + [None, top]
    assert table.column("probability").to_pylist() == [0.75] * 4 + [None, 0.75]
    assert table.column("unknown_score").null_count == 6
    assert table.column("path").to_pylist() == [*NAMES[:2], "caf\\xe9.jpg", *NAMES[3:]]


def test_a_set_is_a_list_but_in_csv(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow.parquet")
    names = columns(1, has_set=True)
    rows: list[Row] = [(os.fsdecode(b"\xe9"), "x", 0.75, 0.5, None, ("x", "big y"), None), ("b", *[None] * 5, "why")]
    for kind in ("csv", "jsonl", "parquet"):
        with PredictionFile(tmp_path / f"p.{kind}", names, of=OF) as file:
            file.write(rows, file.written.after(["x", None]))
    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as text:
        assert [row["set"] for row in csv.DictReader(text)] == ["x|big y", ""]
    lines = (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["set"] for line in lines] == [["x", "big y"], None]
    table = __import__("pyarrow.parquet").parquet.read_table(tmp_path / "p.parquet")
    assert table.column("set").to_pylist() == [["x", "big y"], None]


def test_rows_of_something_else_are_refused_until_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    with pytest.raises(KeyboardInterrupt):
        write(path, ROWS[:4], stop=KeyboardInterrupt())
    says = r"p\.csv\.unfinished holds 4 images of an interrupted command with another model; .* --overwrite"
    with pytest.raises(UserError, match=says):
        PredictionFile(path, COLUMNS, of={**OF, "model": "other"})
    with pytest.raises(UserError, match="with another model and another list of images"):
        PredictionFile(path, COLUMNS, of={"model": "other", "list of images": "other"})
    assert write(path, ROWS[:2], overwrite=True).done == 2
    with pytest.raises(UserError, match=r"p\.csv: is there already; name another file, or add --overwrite"):
        PredictionFile(path, COLUMNS, of=OF)
    with pytest.raises(KeyboardInterrupt):
        write(path, ROWS[:4], stop=KeyboardInterrupt(), overwrite=True)
    assert len(path.read_bytes().splitlines()) > 1  # the old file stays until the new one is whole
    assert write(path, ROWS).done == 6


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    with PredictionFile(tmp_path / "p.csv", COLUMNS, of=OF), pytest.raises(UserError, match="another process"):
        write(tmp_path / "p.csv", ROWS)


def test_what_cannot_be_written_is_told_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"p\.xlsx: its ending .* allowed are \.csv, \.jsonl, \.parquet"):
        checked(tmp_path / "p.xlsx")
    with pytest.raises(UserError, match=r"there is no folder .*nowhere; make it first"):
        checked(tmp_path / "nowhere" / "p.csv")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        checked(tmp_path / "d.csv")
    assert checked(tmp_path / "P.CSV") == tmp_path / "P.CSV"
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(UserError, match=r'p\.parquet: .* pip install "thawline\[parquet\]"'):
        checked(tmp_path / "p.parquet")


def test_progress_is_saved_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_files, "_SAFE_EVERY_S", 0.0)
    with PredictionFile(tmp_path / "p.csv", COLUMNS, of=OF) as file:
        file.write(ROWS[:2], file.written.after(["x", "x"]))
        about = json.loads((tmp_path / "p.csv.unfinished.json").read_text())
        assert about["done"] == 2
        assert about["bytes"] == (tmp_path / "p.csv.unfinished").stat().st_size
