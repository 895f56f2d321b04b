import logging
from pathlib import Path

import pytest

from thawline.data.sources.folder_index import Index, scan
from thawline.errors import UserError


def plant(root: Path, *folders: str, each: int = 2) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for i in range(each):
            (root / folder / f"{i}.png").touch()
    return root


def counts(index: Index) -> dict[str, int]:
    return {split: len(images) for split, images in index.splits().items()}


@pytest.mark.parametrize(
    "names",
    [
        ("Training", "Testing"),
        ("train", "eval"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("d/train", "d/test"),
        ("x/y/Training", "x/y/Testing"),
        ("train/images", "test/images"),
    ],
)
def test_split_folders_under_usual_names(tmp_path: Path, names: tuple[str, str]) -> None:
    index = scan(plant(tmp_path, *(f"{split}/{name}" for split in names for name in ("glioma", "none"))))
    assert index.class_names == ["glioma", "none"]
    assert counts(index) == {"train": 4, "test": 4}


@pytest.mark.parametrize("name", ["validation", "Valid", "dev"])
def test_validation_under_usual_names(tmp_path: Path, name: str) -> None:
    index = scan(plant(tmp_path, *(f"{split}/{label}" for split in ("train", name) for label in "ab")))
    assert counts(index) == {"train": 4, "val": 4}


def test_one_folder_around_all_is_opened_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert scan(plant(tmp_path, "dataset/a", "dataset/b")).class_names == ["a", "b"]
    assert f"The classes are read from {tmp_path}/dataset" in caplog.text


def test_splits_inside_classes(tmp_path: Path) -> None:
    index = scan(plant(tmp_path, *(f"{label}/{split}" for label in "ab" for split in ("Train", "Test"))))
    assert index.class_names == ["a", "b"]
    assert counts(index) == {"train": 4, "test": 4}


def test_numbered_parts_are_one_set(tmp_path: Path) -> None:
    index = scan(plant(tmp_path, *(f"fold{i}/{label}" for i in range(3) for label in ("cat", "dog"))))
    assert index.class_names == ["cat", "dog"]
    assert len(index.labels) == 12
    assert index.parts is None


def test_numbered_parts_of_classes_stay_in_them(tmp_path: Path) -> None:
    assert scan(plant(tmp_path, *(f"{label}/part{i}" for i in range(3) for label in "ab"))).class_names == ["a", "b"]


def test_masks_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folders = [f"{label}/{kind}" for label in "AB" for kind in ("images", "masks")]
    index = scan(plant(tmp_path, *folders))
    assert index.class_names == ["A", "B"]
    assert len(index.labels) == 4
    assert "4 masks beside images are left out, first: A/masks; data.leave_out=[] takes them" in caplog.text


def test_masks_above_the_classes_are_left_out(tmp_path: Path) -> None:
    index = scan(plant(tmp_path, *(f"{kind}/{label}" for label in "AB" for kind in ("images", "masks"))))
    assert index.class_names == ["A", "B"]
    assert len(index.labels) == 4


def test_two_readings_are_refused_with_both_commands(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{place}/{label}" for place in ("lab", "field") for label in ("ripe", "raw")))
    with pytest.raises(UserError) as caught:
        scan(tmp_path)
    assert str(caught.value).endswith(
        "for the classes field, lab add data.class_level=1, for the classes raw, ripe add data.class_level=2"
    )
    assert scan(tmp_path, class_level=1).class_names == ["field", "lab"]
    index = scan(tmp_path, class_level=2)
    assert index.class_names == ["raw", "ripe"]
    assert sorted(path for path, label in zip(index.paths, index.labels, strict=True) if label == 0) == [
        *("field/raw/0.png", "field/raw/1.png", "lab/raw/0.png", "lab/raw/1.png")
    ]


@pytest.mark.parametrize(
    "folders",
    [
        ("cat/indoor", "cat/outdoor", "dog/outdoor", "dog/night"),
        ("cat/images", "dog/images"),
        ("cat/siamese", "cat/manx", "dog/poodle", "dog/beagle"),
        ("cat/2019", "cat/2020", "dog"),
    ],
)
def test_one_reading_is_taken(tmp_path: Path, folders: tuple[str, ...]) -> None:
    assert scan(plant(tmp_path, *folders)).class_names == ["cat", "dog"]


def test_images_without_labels_beside_splits_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plant(tmp_path, "seg_train/a", "seg_train/b", "seg_pred", "seg_test")
    index = scan(tmp_path)
    assert counts(index) == {"train": 4}
    assert f"{tmp_path}/seg_pred holds 2 images without a class; the folder is left out" in caplog.text
    assert f"{tmp_path}/seg_test holds 2 images without class folders; left out" in caplog.text


def test_a_class_that_a_split_lacks_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scan(plant(tmp_path, "train/a", "train/b", "val/a", "test/a", "test/b"))
    assert [record.getMessage() for record in caplog.records] == [
        "val/ has no images of b; nothing is known of such classes there"
    ]


def test_a_class_is_the_same_in_both_unicode_forms(tmp_path: Path) -> None:
    index = scan(plant(tmp_path, "train/caf\u00e9", "train/b", "test/cafe\u0301", "test/b"))
    assert index.class_names == ["b", "caf\u00e9"]
    assert counts(index) == {"train": 4, "test": 4}


def test_two_folders_that_look_the_same_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, "caf\u00e9", "cafe\u0301", "b")
    with pytest.raises(UserError, match=r"look the same, 'cafe\\u0301' and 'caf\\xe9'; put their images into one"):
        scan(tmp_path)


def test_an_unknown_class_that_looks_known_is_shown(tmp_path: Path) -> None:
    plant(tmp_path, "train/cat", "train/b", "test/cat\u200b")
    with pytest.raises(UserError, match=r"\('cat' and 'cat\\u200b' differ\)"):
        scan(tmp_path)


def test_named_folders_are_left_out(tmp_path: Path) -> None:
    plant(tmp_path, "a", "b", "unsorted")
    assert scan(tmp_path, leave_out=["unsorted"]).class_names == ["a", "b"]


def test_a_dangling_class_folder_is_an_error(tmp_path: Path) -> None:
    plant(tmp_path, "a", "c")
    (tmp_path / "b").symlink_to("/mnt/unmounted/b")
    with pytest.raises(UserError, match=r"b is a link to /mnt/unmounted/b, which is not there"):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (("Training", "Testing"), "/Training holds 2 images without class folders, so their labels are not known"),
        (("a", "b", "train", "valid"), "train/ and valid/ hold images without class folders, beside other folders"),
        (("a/train", "a/test", "b/train", "b/other"), "a/ holds test/ and train/, but not every class folder holds"),
        (("train/a", "train/b", "my extra"), """Leave it out with 'data.leave_out=["my extra"]'"""),
    ],
)
def test_splits_are_never_learned_as_classes(tmp_path: Path, folders: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError) as caught:
        scan(plant(tmp_path, *folders))
    assert words in str(caught.value)


def test_a_folder_without_images_beside_splits_is_no_matter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plant(tmp_path, "train/a", "train/b", "annotations", each=1)
    (tmp_path / "annotations" / "0.png").rename(tmp_path / "annotations" / "0.xml")
    assert scan(tmp_path).class_names == ["a", "b"]
    assert not caplog.records
