import pytest

from thawline.data.sources.split_names import is_numbered_part, is_unlabelled_name, split_of_name


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", ["train", "training", "Training", "TRAIN", "seg_train", "train_set", "trainSet", "Train-Images"]),
        ("val", ["val", "valid", "validation", "Validation", "dev", "val_images"]),
        ("test", ["test", "Test", "testing", "Testing", "eval", "seg_test", "test-data"]),
        (None, ["trainer", "training2", "test_positive", "tests", "fold1", "images", "testament", "a"]),
    ],
)
def test_usual_names_of_splits(split: str | None, names: list[str]) -> None:
    assert {split_of_name(name) for name in names} == {split}


def test_other_kinds_of_names() -> None:
    assert is_unlabelled_name("seg_pred")
    assert not is_unlabelled_name("predator")
    assert is_numbered_part("Fold_2")
    assert not is_numbered_part("folder")
