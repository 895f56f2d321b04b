from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from thawline.errors import UserError
from thawline.inspection.file_facts import border_colour, sharpness
from thawline.inspection.inspected import Inspected, inspected
from thawline.inspection.issue import ISSUE_KINDS, Issue


def of_kind(one: Inspected, kind: str) -> dict[str, Issue]:
    return {one.listing.shown(issue.image): issue for issue in one.issues if issue.kind == kind}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        ("unreadable", ["train/a/broken.png"]),
        ("label_conflict", ["train/a/02.png", "train/b/conflict.png"]),
        ("leakage", ["train/a/03.png"]),  # the training image, so that leaving it out keeps the test
        ("copy", ["train/a/exact.png", "train/a/small.png"]),
        ("blank", ["train/b/black.png"]),
        ("dark", ["train/b/dark.png"]),
        ("cropped", ["train/b/tall.png"]),
        ("odd_file", ["train/b/grey.png", "train/b/jpeg.png"]),
    ],
)
def test_every_planted_fault_is_seen_and_nothing_else(files_only: Inspected, kind: str, paths: list[str]) -> None:
    assert sorted(of_kind(files_only, kind)) == paths


def test_an_issue_says_which_and_why(files_only: Inspected) -> None:
    assert of_kind(files_only, "copy")["train/a/exact.png"].detail == "the same file as train/a/00.png"
    assert of_kind(files_only, "copy")["train/a/small.png"].detail == "nearly the same as train/a/01.png"
    assert of_kind(files_only, "leakage")["train/a/03.png"].detail == "nearly the same as test/a/leak.bmp in test"
    assert of_kind(files_only, "odd_file")["train/b/jpeg.png"].detail == "named as PNG, is a JPEG"
    assert of_kind(files_only, "cropped")["train/b/tall.png"].score == 0.5
    (small,) = (issue for issue in files_only.issues if issue.kind == "small_class")
    assert (small.class_name, small.detail) == ("c", "4 distinct images of 4: its labels are not judged")
    (uneven,) = (issue for issue in files_only.issues if issue.kind == "imbalance")
    assert uneven.detail.startswith("b has 32 images, c 4 (8.0 : 1)")


def test_the_most_important_come_first(files_only: Inspected) -> None:
    order = [kind.name for kind in ISSUE_KINDS]
    places = [order.index(issue.kind) for issue in files_only.issues]
    assert places == sorted(places)
    assert files_only.issues[0].kind == "unreadable"


def test_blur_is_seen_beside_sharp_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "a").mkdir()
    for i in range(12):
        pixels = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        (image.filter(ImageFilter.GaussianBlur(3)) if i == 7 else image).save(tmp_path / "a" / f"{i}.png")
    assert list(of_kind(inspected(tmp_path), "blurred")) == ["a/7.png"]


def test_sharpness_does_not_depend_on_contrast_or_brightness() -> None:
    grey = np.random.default_rng(0).uniform(0, 200, (32, 32))
    assert sharpness(0.5 * grey + 40) == pytest.approx(sharpness(grey))
    assert np.isnan(sharpness(np.full((32, 32), 7.0)))


def test_the_border_is_the_outermost_pixels() -> None:
    pixels = np.zeros((10, 20, 3), dtype=np.uint8)
    pixels[1:-1, 1:-1] = 255
    assert border_colour(pixels).tolist() == [0, 0, 0]


@pytest.mark.parametrize("number", [1, 3])
def test_one_class_of_few_images_is_inspected(tmp_path: Path, number: int) -> None:
    (tmp_path / "only").mkdir()
    for i in range(number):
        Image.new("RGB", (40, 40), (200, 10 * i, 90)).save(tmp_path / "only" / f"{i}.png")
    (tmp_path / "none").mkdir()
    kinds = {issue.kind for issue in inspected(tmp_path).issues}
    assert {"small_class", "blank", "empty_class"} <= kinds


def test_loose_images_have_no_labels(tmp_path: Path) -> None:
    for i in range(2):
        Image.effect_noise((40, 40), 90).save(tmp_path / f"{i}.png")
    one = inspected(tmp_path)
    assert one.issues == []
    assert "labels are not known" in one.notes[0]


def test_no_image_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for place, says in ((tmp_path, "holds no image"), (tmp_path / "x", "no such folder")):
        with pytest.raises(UserError, match=says):
            inspected(place)


def test_only_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.png").write_bytes(b"")
    assert [issue.kind for issue in inspected(tmp_path).issues] == ["unreadable", "small_class"]


def test_a_table_is_inspected_with_its_groups(tmp_path: Path) -> None:
    rows = ["path,label,group"]
    for i in range(12):
        Image.effect_noise((40, 40), 90).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{'ab'[i % 2]},{i // 4}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    one = inspected(tmp_path / "t.csv")
    assert {(issue.kind, issue.class_name) for issue in one.issues} == {("small_class", "a"), ("small_class", "b")}
