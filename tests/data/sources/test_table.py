import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thawline.data.sources.table import TableSource
from thawline.data.splits import splits_of
from thawline.errors import UserError
from thawline.settings.data_settings import LoaderSettings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """images/0.png to 11.png, all different."""
    (tmp_path / "images").mkdir()
    for i in range(12):
        Image.new("RGB", (8, 8), (20 * i, 90, 99)).save(tmp_path / "images" / f"{i}.png")
    return tmp_path


def table(folder: Path, *lines: str, name: str = "table.csv", head: str = "path,label") -> Path:
    path = folder / name
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


def rows(number: int = 12, more: str = "") -> list[str]:
    return [f"images/{i}.png,{'cat' if i % 2 else 'dog'}{more}" for i in range(number)]


def message(file: Path | None, **settings: object) -> str:
    with pytest.raises(UserError) as caught:
        TableSource(file=file, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_paths_and_labels(folder: Path) -> None:
    source = TableSource(file=table(folder, *rows()))
    assert (source.name, source.class_names, source.splits) == ("table", ["cat", "dog"], {})
    assert source.labels.tolist() == [1, 0] * 6
    assert source.describe(3) == f"{folder}/images/3.png"
    assert np.asarray(source.load(2))[0, 0].tolist() == [40, 90, 99]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_names_of_columns_and_quotes(folder: Path, delimiter: str) -> None:
    lines = [delimiter.join((f'"images/{i}.png"', f'"a, {i % 2}"')) for i in range(6)]
    file = table(folder, *lines, head="\ufeff" + delimiter.join(("file", "diagnosis")))
    source = TableSource(file=file, columns={"path": "file", "label": "diagnosis"})
    assert source.class_names == ["a, 0", "a, 1"]


def test_json_lines(folder: Path) -> None:
    lines = [json.dumps({"path": f"images/{i}.png", "label": i % 3, "more": [1]}) for i in range(12)]
    path = folder / "t.jsonl"
    path.write_text("\n".join(lines))
    assert TableSource(file=path).class_names == ["0", "1", "2"]


def test_parquet(folder: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    body = {
        "path": [f"images/{i}.png" for i in range(6)],
        "label": ["x", "y"] * 3,
        "split": ["train"] * 4 + ["test"] * 2,
    }
    parquet.write_table(arrow.table(body), folder / "t.parquet")
    source = TableSource(file=folder / "t.parquet")
    assert source.class_names == ["x", "y"]
    assert {split: len(images) for split, images in source.splits.items()} == {"train": 4, "test": 2}


def test_splits_and_groups(folder: Path) -> None:
    names = ["Training"] * 8 + ["valid"] * 2 + ["test"] * 2
    lines = [f"{row},{split},p{i // 2}" for i, (row, split) in enumerate(zip(rows(), names, strict=True))]
    source = TableSource(file=table(folder, *lines, head="path,label,split,group"))
    assert {split: len(images) for split, images in source.splits.items()} == {"train": 8, "val": 2, "test": 2}
    assert source.groups[0] == source.groups[1] != source.groups[2]
    assert source.group_names.tolist()[:3] == ["p0", "p0", "p1"]


def test_groups_are_kept_together(folder: Path) -> None:
    lines = [f"images/{i}.png,{'ab'[i // 6]},g{i // 2}" for i in range(12)]
    source = TableSource(file=table(folder, *lines, head="path,label,group"))
    splits = splits_of(source, LoaderSettings())
    owners = [set(source.groups[images].tolist()) for images in splits.values()]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 6


def test_weights_follow_their_images_and_an_empty_cell_counts_as_one(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [f"{row},{'' if i == 3 else i + 0.5}" for i, row in enumerate(rows())]
    caplog.set_level("INFO")
    source = TableSource(file=table(folder, *lines, head="path,label,grams"), columns={"weight": "grams"})
    assert source.weights is not None
    assert source.weights.tolist() == [0.5, 1.5, 2.5, 1.0, *(i + 0.5 for i in range(4, 12))]
    assert "Training counts an image as often as its grams says (0.5 to 11.5); scores count each once." in caplog.text
    few = TableSource(file=table(folder, *lines, head="path,label,weight"), max_images=5)
    of = {source.describe(i): weight for i, weight in enumerate(source.weights)}
    assert few.weights is not None
    assert few.weights.tolist() == [of[few.describe(i)] for i in range(5)]
    alike = TableSource(file=table(folder, *rows()))
    assert alike.weights is None
    assert len({alike.fingerprint(), source.fingerprint()}) == 2


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf", "heavy"])
def test_a_weight_that_cannot_count_is_refused_with_its_line(folder: Path, weight: str) -> None:
    lines = rows(more=",1")
    lines[4] = lines[4][:-1] + weight
    said = message(table(folder, *lines, head="path,label,weight"))
    assert f"line 6: weight {weight}; allowed are numbers above 0, as 2 for an image that counts twice" in said


def test_a_row_without_a_group_stands_alone(folder: Path) -> None:
    lines = [f"{row},{'g' if i < 2 else ''}" for i, row in enumerate(rows())]
    source = TableSource(file=table(folder, *lines, head="path,label,group"))
    assert len(set(source.groups.tolist())) == 11


def test_a_group_in_two_given_splits_is_refused(folder: Path) -> None:
    lines = [f"{row},{'test' if i > 8 else 'train'},p{i // 4}" for i, row in enumerate(rows())]
    text = message(table(folder, *lines, head="path,label,split,group"))
    assert "group 'p2' lies in train and in test (images/8.png, images/9.png), 1 such groups in all" in text


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["images/0.png,a", "images/99.png,b"], "line 3: there is no file {folder}/images/99.png; correct the path"),
        (["images/0.png,a", "../x.png,b"], "line 3: ../x.png lies outside {folder}; give data.root=DIR"),
        (["images/0.png,a", "/etc/x.png,b"], "line 3: /etc/x.png lies outside {folder}"),
        (["images/0.png,a", "images/1.png,"], "line 3: has no label; give one, or remove the row"),
        ([",a", "images/1.png,b"], "line 2: has no path"),
        (["images/0.png,a", "images/1.png,b", "images/0.png,a"], "line 4: images/0.png stands in line 2 already"),
        (["images/0.png,a", "images/0.png,b"], "line 3: several labels of one image (images/0.png: a, b) cannot be"),
        (["images/0.png,a", "images/1.png,b", "images/2.png,a|b"], "line 4: several labels of one image (a|b)"),
        (["images/0.png,a", "images/1.png,a|x", "images/2.png,b|x"], "line 3: several labels of one image (a|x)"),
        (
            ["images/0.png,0.5", "images/1.png,2"],
            "the labels are numbers (0.5, ...; 2 different ones), and predicting a",
        ),
        (["images/0.png,a"], "holds one class ('a'); at least two"),
        ([], "has no rows"),
    ],
)
def test_rows_that_cannot_be_used(folder: Path, lines: list[str], words: str) -> None:
    file = table(folder, *lines)
    text = message(file)
    assert text.startswith(f"data.file={file}")
    assert words.format(folder=folder) in text


def test_errors_about_splits(folder: Path) -> None:
    head = "path,label,split"
    assert "line 3: split 'holidays'; allowed are train, val, test" in message(
        table(folder, "images/0.png,a,train", "images/1.png,b,holidays", head=head)
    )
    assert "line 3: has no split, though other rows have one" in message(
        table(folder, "images/0.png,a,train", "images/1.png,b,", head=head)
    )
    assert "no row has the split train" in message(
        table(folder, "images/0.png,a,val", "images/1.png,b,test", head=head)
    )
    lines = ["images/0.png,a,train", "images/1.png,b,train", "images/2.png,c,test"]
    assert "test/ has classes that train/ lacks: c" in message(table(folder, *lines, head=head))


def test_errors_about_the_file(folder: Path) -> None:
    assert message(None).startswith("data.file is not set: give data.file=FILE")
    assert "no such file" in message(folder / "absent.csv")
    (folder / "t.xlsx").touch()
    assert "allowed are files of the kinds .csv .tsv .txt .jsonl" in message(folder / "t.xlsx")
    text = message(table(folder, *rows(), head="image,label"))
    assert text.endswith("has no column 'path'; it has image, label; name it with data.columns.path=NAME")
    (folder / "t.jsonl").write_text("{not json")
    assert "is no jsonl table" in message(folder / "t.jsonl")
    assert "data.columns.lable: no such column" in message(table(folder, *rows()), columns={"lable": "x"})


def test_many_distinct_whole_numbers_are_measurements(folder: Path) -> None:
    lines = [f"images/{i}.png,{i}" for i in range(12)]
    assert len(TableSource(file=table(folder, *lines)).class_names) == 12  # few enough for classes
    lines = [f"images/x{i}.png,{i * 7}" for i in range(40)]
    assert "predicting a number is not supported, only classes" in message(table(folder, *lines))


def test_missing_files_are_left_out_on_request(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = table(folder, *rows(), "images/99.png,cat")
    assert len(TableSource(file=file, on_unreadable="skip").labels) == 12
    assert "1 unreadable image is left out" in caplog.text


def test_paths_from_windows_and_another_root(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    file = table(tmp_path / "elsewhere", *(row.replace("/", "\\") for row in rows()))
    source = TableSource(file=file, root=folder)
    assert source.describe(0) == f"{folder}/images/0.png"


def test_the_fingerprint_follows_labels_and_splits(folder: Path) -> None:
    head = "path,label,split"
    train = [f"{row},train" for row in rows()]
    changed = [train[0].replace("dog", "cat"), *train[1:]]
    tested = [*train[:-1], train[-1].replace("train", "test")]
    digests = {TableSource(file=table(folder, *lines, head=head)).fingerprint() for lines in (train, changed, tested)}
    assert len(digests) == 3


def test_names_of_classes_may_share_words(folder: Path) -> None:
    names = ("cat, big", "cat, small", "dog, big", "owl|night", "owl|day")
    lines = [f'images/{i}.png,"{names[i % 5]}"' for i in range(12)]
    assert TableSource(file=table(folder, *lines)).class_names == sorted(names)


def test_a_class_that_training_lacks_is_named_before_all_else(folder: Path) -> None:
    lines = [f"images/{i}.png,{'cat' if i < 6 else 'dog'},{'train' if i < 6 else 'test'}" for i in range(12)]
    assert "test/ has classes that train/ lacks: dog" in message(table(folder, *lines, head="path,label,split"))


def test_an_empty_table_is_said_to_be_empty(folder: Path) -> None:
    (folder / "t.csv").write_text("\n")
    assert "is empty; its first line names the columns" in message(folder / "t.csv")
