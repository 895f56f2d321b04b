import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thawline.data.decode import UnreadableImage
from thawline.data.sources.folder import FolderSource
from thawline.data.splits import splits_of
from thawline.errors import UserError
from thawline.settings.data_settings import LoaderSettings


def put(path: Path, level: int = 0, *, form: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), 60 + level, dtype=np.uint8)).save(path, form)
    return path


def truncated_jpeg() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()[:1500]


def plant(root: Path) -> dict[str, Path]:
    """Two classes of three images, and three files that only look like images."""
    for level, name in enumerate(("cats/0.png", "cats/1.png", "cats/2.png", "dogs/0.png", "dogs/1.png", "dogs/2.png")):
        put(root / name, 10 * level)
    bad = {name: root / name for name in ("cats/cut.jpg", "cats/page.jpg", "dogs/zero.png")}
    bad["cats/cut.jpg"].write_bytes(truncated_jpeg())
    bad["cats/page.jpg"].write_text("<html><body>404 not found</body></html>")
    bad["dogs/zero.png"].touch()
    return bad


def message(**arguments: object) -> str:
    with pytest.raises(UserError) as caught:
        FolderSource(**arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_class_folders_directly(tmp_path) -> None:
    put(tmp_path / "pets/dogs/b.png", 1)
    put(tmp_path / "pets/dogs/deep/er/a.JPG", 2)
    put(tmp_path / "pets/cats/c.webp", 3)
    source = FolderSource(root=tmp_path / "pets")
    assert source.name == "pets"
    assert source.class_names == ["cats", "dogs"]
    np.testing.assert_array_equal(source.labels, [0, 1, 1])
    assert source.splits == {}
    assert source.unreadable == []
    described = [Path(source.describe(i)).relative_to(tmp_path).as_posix() for i in range(3)]
    assert described == ["pets/cats/c.webp", "pets/dogs/b.png", "pets/dogs/deep/er/a.JPG"]
    np.testing.assert_array_equal(np.asarray(source.load(1)), np.full((8, 8, 3), 61))


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Train", "valid", "TEST")])
def test_given_splits(tmp_path, names: tuple[str, str, str]) -> None:
    level = 0
    for split, count in zip(names, (3, 2, 1), strict=True):
        for class_name in ("a", "b"):
            for i in range(count):
                put(tmp_path / split / class_name / f"{i}.png", level := level + 1)
    source = FolderSource(root=str(tmp_path))
    assert {split: len(indices) for split, indices in source.splits.items()} == {"train": 6, "val": 4, "test": 2}
    np.testing.assert_array_equal(np.sort(np.concatenate(list(source.splits.values()))), np.arange(12))
    for split, name in zip(("train", "val", "test"), names, strict=True):
        assert all(f"/{name}/" in source.describe(int(i)) for i in source.splits[split])
    np.testing.assert_array_equal(source.labels[source.splits["test"]], [0, 1])


def test_train_alone_gives_only_that_split(tmp_path) -> None:
    for level, name in enumerate("ab"):
        put(tmp_path / "train" / name / "x.png", level)
    assert {split: list(i) for split, i in FolderSource(root=tmp_path).splits.items()} == {"train": [0, 1]}


def test_train_may_be_a_class_of_its_own(tmp_path) -> None:
    for level, name in enumerate(("car", "plane", "train")):
        put(tmp_path / name / "x.png", level)
    assert FolderSource(root=tmp_path).class_names == ["car", "plane", "train"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["10", "2", "1"], ["1", "2", "10"]),
        (["1", "-1", "0"], ["-1", "0", "1"]),
        (["class10", "class9"], ["class9", "class10"]),
        (["b", "A", "c"], ["A", "b", "c"]),
    ],
)
def test_order_of_classes(tmp_path, names: list[str], expected: list[str]) -> None:
    for level, name in enumerate(names):
        put(tmp_path / name / "x.png", level)
    source = FolderSource(root=tmp_path)
    assert source.class_names == expected
    np.testing.assert_array_equal(source.labels, np.arange(len(names)))


def test_hidden_and_foreign_files_are_ignored(tmp_path, caplog) -> None:
    for level, name in enumerate(("a", "b")):
        put(tmp_path / name / "x.png", level)
    put(tmp_path / "__MACOSX/a/x.png")
    put(tmp_path / ".thumbnails/x.png")
    put(tmp_path / "a/.hidden.png")
    put(tmp_path / "a/.cache/y.png")
    for name in ("a/Thumbs.db", "a/notes.txt", "README.md"):
        (tmp_path / name).write_text("no image")
    source = FolderSource(root=tmp_path)
    assert source.class_names == ["a", "b"]
    assert len(source.labels) == 2
    assert not caplog.records


def test_loose_images_are_told_of(tmp_path, caplog) -> None:
    for level, name in enumerate(("a/x.png", "b/x.png", "loose.png")):
        put(tmp_path / name, level)
    assert len(FolderSource(root=tmp_path).labels) == 2
    assert f"1 image lies in {tmp_path} outside any class folder and ignored: loose.png" in caplog.text


def test_links_are_followed_without_end(tmp_path) -> None:
    put(tmp_path / "elsewhere/x.png", 1)
    put(tmp_path / "root/b/y.png", 2)
    put(tmp_path / "root/b/deep/z.png", 3)
    os.symlink(tmp_path / "elsewhere", tmp_path / "root/a")
    os.symlink(tmp_path / "root/b", tmp_path / "root/b/deep/loop")
    source = FolderSource(root=tmp_path / "root")
    assert source.class_names == ["a", "b"]
    np.testing.assert_array_equal(source.labels, [0, 1, 1])


def test_unreadable_file_stops_by_default(tmp_path) -> None:
    bad = plant(tmp_path)
    text = message(root=tmp_path)
    assert text.startswith(f"data.root={tmp_path}: unreadable image {bad['cats/cut.jpg']}: ")
    assert text.endswith(" and 2 more; fix or delete it, or set data.on_unreadable=skip")


def test_unreadable_files_are_left_out_on_request(tmp_path, caplog) -> None:
    bad = plant(tmp_path)
    source = FolderSource(root=tmp_path, on_unreadable="skip")
    assert source.unreadable == list(bad)
    np.testing.assert_array_equal(source.labels, [0, 0, 0, 1, 1, 1])
    assert f"3 unreadable images are left out of {tmp_path}: cats/cut.jpg, cats/page.jpg, dogs/zero.png" in caplog.text
    for index in range(6):
        source.load(index)


def test_warning_names_five_unreadable_files_at_most(tmp_path, caplog) -> None:
    put(tmp_path / "a/good.png", 1)
    put(tmp_path / "b/good.png", 2)
    for i in range(7):
        (tmp_path / f"a/bad{i}.png").touch()
    FolderSource(root=tmp_path, on_unreadable="skip")
    assert "7 unreadable images" in caplog.text
    assert caplog.text.rstrip().endswith("a/bad4.png, ...")


def test_class_left_without_readable_image(tmp_path) -> None:
    put(tmp_path / "a/x.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/x.png").touch()
    assert "class 'b' has no readable image" in message(root=tmp_path, on_unreadable="skip")


def test_split_left_without_readable_image(tmp_path) -> None:
    for level, name in enumerate(("train/a/x.png", "train/b/x.png")):
        put(tmp_path / name, level)
    (tmp_path / "val/a").mkdir(parents=True)
    (tmp_path / "val/a/x.png").touch()
    assert "val/ has no readable image" in message(root=tmp_path, on_unreadable="skip")


def test_unverified_files_fail_when_loaded(tmp_path) -> None:
    plant(tmp_path)
    source = FolderSource(root=tmp_path, verify=False)
    assert len(source.labels) == 9
    with pytest.raises(UnreadableImage, match=r"cut\.jpg"):
        source.load(3)


def test_identical_files_share_a_group(tmp_path, caplog) -> None:
    for name, level in (("a/0.png", 1), ("a/1.png", 2), ("a/copy.png", 1), ("b/0.png", 3)):
        put(tmp_path / name, level)
    groups = FolderSource(root=tmp_path).groups
    assert groups[0] == groups[2]
    assert len(set(groups.tolist())) == 3
    assert groups.dtype == np.int64
    assert not caplog.records
    np.testing.assert_array_equal(FolderSource(root=tmp_path, verify=False).groups, np.arange(4))


def test_same_image_under_two_classes_is_told_of(tmp_path, caplog) -> None:
    for name, level in (("a/0.png", 1), ("a/1.png", 2), ("b/same.png", 2), ("b/0.png", 3)):
        put(tmp_path / name, level)
    FolderSource(root=tmp_path)
    assert "the same image stands under two classes, for example a/1.png and b/same.png" in caplog.text


def test_copies_across_given_splits_are_counted(tmp_path, caplog) -> None:
    for name, level in (("train/a/0.png", 1), ("train/a/1.png", 2), ("train/b/0.png", 3), ("val/a/0.png", 4)):
        put(tmp_path / name, level)
    put(tmp_path / "val/b/0.png", 5)
    for name, level in (("test/a/0.png", 9), ("test/a/x.png", 2), ("test/b/x.png", 3)):
        put(tmp_path / name, level)
    with caplog.at_level(logging.WARNING):
        FolderSource(root=tmp_path)
    expected = "2 test images are byte-identical to training images, first: test/a/x.png = train/a/1.png"
    assert [record.getMessage() for record in caplog.records] == [expected]


@pytest.mark.parametrize("verify", [True, False])
def test_fingerprint_follows_content_label_and_split(tmp_path, verify: bool) -> None:
    def digest() -> str:
        return FolderSource(root=tmp_path, verify=verify).fingerprint()

    for level, name in enumerate(("train/a/0.png", "train/a/1.png", "train/b/0.png", "train/b/1.png")):
        put(tmp_path / name, level)
    digests = [digest()]
    assert digest() == digests[0]
    put(tmp_path / "train/a/0.png", 77)
    digests.append(digest())
    os.rename(tmp_path / "train/a/1.png", tmp_path / "train/b/2.png")
    digests.append(digest())
    (tmp_path / "test/b").mkdir(parents=True)
    os.rename(tmp_path / "train/b/2.png", tmp_path / "test/b/2.png")
    digests.append(digest())
    assert len(set(digests)) == 4


def test_verified_fingerprint_ignores_place_and_time(tmp_path) -> None:
    for root in ("one", "two"):
        for level, name in enumerate(("a/0.png", "b/0.png")):
            os.utime(put(tmp_path / root / name, level), (1e9, 1e9 if root == "one" else 2e9))
    assert FolderSource(root=tmp_path / "one").fingerprint() == FolderSource(root=tmp_path / "two").fingerprint()


def test_errors_about_the_root(tmp_path) -> None:
    for root in (None, "", "  "):
        assert message(root=root).startswith("data.root is not set: give data.root=DIR")
    assert message(root=tmp_path / "absent").startswith(f"data.root={tmp_path}/absent: no such folder")
    file = put(tmp_path / "x.png")
    assert message(root=file).startswith(f"data.root={file}: is a file")


def test_errors_about_the_layout(tmp_path) -> None:
    assert "no class folder found" in message(root=tmp_path)
    assert "tif tiff" in message(root=tmp_path)
    put(tmp_path / "loose.png")
    assert "holds 1 image without class folders, so their labels are not known" in message(root=tmp_path)
    put(tmp_path / "cats/x.png")
    expected = f"data.root={tmp_path} holds one class ('cats'); at least two class folders are needed"
    assert message(root=tmp_path) == expected
    (tmp_path / "dogs").mkdir()
    (tmp_path / "dogs/notes.txt").touch()
    assert "class folder 'dogs' holds no image" in message(root=tmp_path)


def test_errors_about_given_splits(tmp_path) -> None:
    for level, name in enumerate(("test/a/x.png", "test/z/x.png")):
        put(tmp_path / name, level)
    assert "holds test/ but no train/" in message(root=tmp_path)
    put(tmp_path / "train/a/x.png", 3)
    put(tmp_path / "train/b/x.png", 4)
    assert "test/ has classes that train/ lacks: z; add them to train/ or remove them" in message(root=tmp_path)
    os.rename(tmp_path / "test/z", tmp_path / "test/b")
    (tmp_path / "val").mkdir()
    assert "val/ holds no class folder" in message(root=tmp_path)
    put(tmp_path / "valid/a/x.png", 5)
    assert "val/ and valid/ both stand for val; add data.leave_out=[val] or data.leave_out=[valid]" in message(
        root=tmp_path
    )
    put(tmp_path / "extra/x.png", 6)
    assert "holds class folders, but 'extra' stands beside it" in message(root=tmp_path)


def test_error_about_on_unreadable(image_folder) -> None:
    assert message(root=image_folder, on_unreadable="drop") == "data.on_unreadable='drop': allowed are error, skip"


def test_images_of_kinds_that_cannot_be_read_are_counted_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4), (len(name), 0, ord(name[0]))).save(tmp_path / name / "a.png")
        (tmp_path / name / "b.svg").write_bytes(b"")
    FolderSource(root=tmp_path)
    assert "2 images cannot be read and are left out (2 .svg;" in caplog.text


def test_skipping_without_reading_is_refused(image_folder: Path) -> None:
    with pytest.raises(UserError, match=r"data\.on_unreadable=skip needs data\.verify=true"):
        FolderSource(root=image_folder, on_unreadable="skip", verify=False)


def test_a_class_without_an_image_of_its_own_is_named(tmp_path) -> None:
    for name, level in (("a/0.png", 1), ("a/1.png", 2), ("b/0.png", 1), ("b/1.png", 2), ("a/2.png", 3)):
        put(tmp_path / name, level)
    assert message(root=tmp_path) == "every image of class 'b' stands under another class too; leave it in one of them"


def test_files_and_classes_that_differ_in_case_only_are_apart(tmp_path: Path) -> None:
    for level, name in enumerate(("a/x.png", "a/X.png", "a/x.PNG", "A/x.png")):
        put(tmp_path / name, level)
    if len(list(tmp_path.rglob("*.[pP][nN][gG]"))) < 4:
        pytest.skip("this file system does not tell case apart")
    source = FolderSource(root=tmp_path)
    assert source.class_names == ["A", "a"]
    assert source.labels.tolist() == [0, 1, 1, 1]
    assert len({source.describe(i) for i in range(4)}) == 4


def test_nothing_depends_on_the_order_of_the_directory_or_on_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{kind}/{number}.png" for kind in ("cats", "dogs") for number in range(10)]
    for place, order in (("here", names), ("else/where", names[::-1])):
        for name in order:
            put(tmp_path / place / name, names.index(name))

    def seen(place: str) -> tuple[object, ...]:
        source = FolderSource(root=tmp_path / place)
        paths = [Path(source.describe(i)).relative_to(tmp_path / place).as_posix() for i in range(20)]
        splits = splits_of(source, LoaderSettings())
        return paths, source.labels.tolist(), {k: v.tolist() for k, v in splits.items()}, source.fingerprint()

    here = seen("here")
    listed = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: _Backwards(listed(path)))
    assert seen("else/where") == here


class _Backwards(list[os.DirEntry[str]]):
    """The entries of a directory, the last first."""

    def __init__(self, entries: Iterator[os.DirEntry[str]]) -> None:
        super().__init__(reversed(list(entries)))

    def __enter__(self) -> "_Backwards":
        return self

    def __exit__(self, *_: object) -> None:
        pass
