import csv
import io

import numpy as np

from thawline.data.split_table import split_table


def test_every_image_of_every_split_is_a_row(colours) -> None:
    colours.groups[[1, 5]] = 99
    splits = {"train": np.array([0, 1, 5]), "val": np.array([2]), "test": np.array([7])}
    assert list(csv.reader(io.StringIO(split_table(colours, splits)))) == [
        ["path", "label", "split", "group"],
        ["colour 0", "red", "train", ""],
        ["colour 1", "green", "train", "99"],
        ["colour 5", "green", "train", "99"],
        ["colour 2", "blue", "val", ""],
        ["colour 7", "yellow", "test", ""],
    ]


def test_names_of_groups_are_written(colours) -> None:
    colours.group_names = np.array(["p, 1"] * 40)
    splits = {"train": np.array([0]), "val": np.array([1]), "test": np.array([2])}
    assert split_table(colours, splits).splitlines()[1] == 'colour 0,red,train,"p, 1"'


def test_weights_have_a_column_where_there_are_any(colours) -> None:
    colours.weights = np.linspace(0.5, 2.45, 40)
    splits = {"train": np.arange(0, 2), "val": np.arange(2, 3), "test": np.arange(3, 4)}
    table = list(csv.DictReader(io.StringIO(split_table(colours, splits))))
    assert [row["weight"] for row in table] == ["0.5", "0.55", "0.6", "0.65"]
