"""Labelled folders and tables as people have them, and labels matched by name."""

from pathlib import Path

import pytest
from PIL import Image

from thawline.deploy.label_match import match_labels
from thawline.deploy.labelled_images import LabelledImages, labelled_images
from thawline.deploy.prediction_files import csv_lines, json_lines
from thawline.deploy.prediction_rows import Ranked, columns
from thawline.errors import UserError

KNOWN = ("cat", "dog")


def folder(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(root / name)
    return root


def read(source: LabelledImages, root: Path) -> list[tuple[str, str]]:
    return [(image.path.relative_to(root).as_posix(), image.label) for image in source.images]


def test_class_folders_and_what_lies_deeper_in_them(tmp_path: Path) -> None:
    folder(tmp_path, "cat/a.png", "cat/street/night/b.png", "dog/c.png", "bird/d.png")
    source = labelled_images(tmp_path, class_names=KNOWN)
    assert read(source, tmp_path) == [
        ("bird/d.png", "bird"),
        ("cat/a.png", "cat"),
        ("cat/street/night/b.png", "cat"),
        ("dog/c.png", "dog"),
    ]
    assert (source.split, source.notes) == (None, [])


@pytest.mark.parametrize("above", ["dataset/", "fold1/", "dataset/camera2/"])
def test_classes_below_other_folders_are_known_by_name(tmp_path: Path, above: str) -> None:
    folder(tmp_path, f"{above}cat/a.png", f"{above}dog/b.png")
    source = labelled_images(tmp_path, class_names=KNOWN)
    assert [image.label for image in source.images] == ["cat", "dog"]


@pytest.mark.parametrize("layout", ["{split}/{label}/{n}.png", "{label}/{split}/{n}.png"])
def test_of_splits_test_is_taken_and_the_reader_learns_of_it(tmp_path: Path, layout: str) -> None:
    for n, split in enumerate(("train", "valid", "test")):
        folder(tmp_path, *(layout.format(split=split, label=label, n=n) for label in KNOWN))
    source = labelled_images(tmp_path, class_names=KNOWN)
    assert (source.split, [image.path.name for image in source.images]) == ("test", ["2.png", "2.png"])
    assert source.notes == ["of the splits train, val, test only test is evaluated; --split all takes every image"]
    assert len(labelled_images(tmp_path, class_names=KNOWN, split="all").images) == 6
    assert labelled_images(tmp_path, class_names=KNOWN, split="val").images[0].path.name == "1.png"


def test_a_table_with_splits(tmp_path: Path) -> None:
    folder(tmp_path, "a.png", "b.png", "c.png")
    table = tmp_path / "splits.csv"
    table.write_text(
        f"path,label,split,group\n{tmp_path}/a.png,cat,train,\nb.png,dog,test,\nb.png,dog,test,\nc.png,,,\n"
    )
    source = labelled_images(table, class_names=KNOWN, split="test")
    assert read(source, tmp_path) == [("b.png", "dog")]
    assert source.notes == ["left out, rows without a path or a label: 1", "left out, rows that repeat an image: 1"]
    assert len(labelled_images(table, class_names=KNOWN, split="all").images) == 2


def test_paths_of_a_table_may_begin_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, "images/a.png")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "t.csv").write_text("path;label\nimages\\a.png;cat\n")
    monkeypatch.chdir(tmp_path)
    (image,) = labelled_images(Path("lists/t.csv"), class_names=KNOWN).images
    assert image.path.is_file()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("file,class\na.png,cat\n", "t.csv: has no column 'path'; it has file, class; it needs the columns"),
        ("path,label\n", "t.csv: has no rows"),
        ("path,label\n,\n", "t.csv: no row has a path and a label"),
        ("path,label\na.png,cat\na.png,dog\n", "t.csv, line 3: a.png has two labels, 'cat' and 'dog'; keep one"),
        ("path,label,split\na.png,cat,later\n", "t.csv, line 2: split 'later'; allowed are train, val, test"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(UserError) as error:
        labelled_images(tmp_path / "t.csv", class_names=KNOWN)
    assert str(error.value).removeprefix(f"{tmp_path}/").startswith(says)


@pytest.mark.parametrize("name", ["predictions.csv", "predictions.jsonl"])
def test_answers_of_a_model_are_no_labels(tmp_path: Path, name: str) -> None:
    names = columns(2)
    written = [("a.png", "cat", 0.9, 0.1, 0.5, Ranked("dog", 0.1), None), ("b.png", *[None] * 5, "unreadable")]
    text = csv_lines([names, *written], names) if name.endswith("csv") else json_lines(written, names)
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=f"{name}: is what predict wrote, not labels: its column label holds a model's"):
        labelled_images(tmp_path / name, class_names=KNOWN)
    (tmp_path / "labels.csv").write_text("path,label,entropy\na.png,cat,0.5\n")
    assert len(labelled_images(tmp_path / "labels.csv", class_names=KNOWN).images) == 1


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder or file; give a folder of class folders, or a table"):
        labelled_images(tmp_path / "nowhere", class_names=KNOWN)
    with pytest.raises(UserError, match="holds no class folder; sort the images into folders"):
        labelled_images(tmp_path, class_names=KNOWN)
    (tmp_path / "cat").mkdir()
    with pytest.raises(UserError, match="holds no image"):
        labelled_images(tmp_path, class_names=KNOWN)
    with pytest.raises(UserError, match="holds 1 image without class folders"):
        labelled_images(folder(tmp_path / "flat", "a.png"), class_names=KNOWN)
    folder(tmp_path, "cat/a.png")
    with pytest.raises(UserError, match=r"--split test: .* has no image of it; it has no splits"):
        labelled_images(tmp_path, class_names=KNOWN, split="test")


def test_labels_match_by_name_and_the_others_are_counted() -> None:
    match = match_labels(["Cat", "cat", "bird", "bird"], ("dog", "cat"), where="DIR")
    assert match.index == {"Cat": 1, "cat": 1}
    assert (match.unknown, match.absent) == ({"bird": 2}, ["dog"])
    assert match.notes == ["the label 'Cat' is taken for the class 'cat'"]


def test_no_label_of_the_model_names_both_lists_and_the_nearest() -> None:
    with pytest.raises(UserError) as error:
        match_labels(["birds", "catz"], ("cat", "dog"), where="DIR")
    assert str(error.value) == (
        "DIR: no label is a class of the model; labels are birds, catz; classes are cat, dog; the nearest: catz and cat"
    )
