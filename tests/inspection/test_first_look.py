"""The short inspection before the first run says what a scan shows, once for each state of the images."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import ColourSource
from PIL import Image

from thawline.data.sources.content import Content
from thawline.data.sources.folder import FolderSource
from thawline.data.sources.folder_index import Index
from thawline.data.sources.scanned import Scanned
from thawline.inspection import first_look as module
from thawline.inspection.inspected import inspected
from thawline.report.inspection_section import InspectionSection
from thawline.runs.inspection_note import inspection_notes, inspection_of


def scanned(*, per_class: int, classes: int, kept: Path | None = None) -> Scanned:
    """Images that differ only in noise, the same in every class."""
    rng, number = np.random.default_rng(0), per_class * classes
    content = Content.empty(number)
    content.digests[:] = [f"{image:032x}".encode() for image in range(number)]
    content.sizes[:] = rng.integers(300, 400, (number, 2))
    content.thumbs[:] = rng.integers(0, 256, content.thumbs.shape, dtype=np.uint8)
    labels = np.repeat(np.arange(classes), per_class).astype(np.int64)
    names = [f"c{label}" for label in range(classes)]
    paths = np.array([f"c{label}/{image}.jpg" for image, label in enumerate(labels)])
    return Scanned(Index(names, paths, labels, None), content, rng.integers(5000, 9000, number), None, kept)


def test_nothing_is_said_where_nothing_is_wrong(tmp_path: Path) -> None:
    look, first = module.first_look(scanned(per_class=30, classes=2, kept=tmp_path), state="a")
    assert (look.issues, look.notes, first) == ({}, [], True)


def test_classes_told_apart_by_their_light_and_copies_are_said() -> None:
    one = scanned(per_class=30, classes=2)
    one.content.thumbs[30:] //= 2
    one.content.digests[5] = one.content.digests[2]
    one.content.digests[31] = one.content.digests[0]
    look, _ = module.first_look(one, state="a")
    assert look.issues == {"label_conflict": 2, "shortcut": 2, "copy": 1}
    assert look.notes[0].startswith(
        "classes told apart by file properties, brightness and contrast: balanced accuracy 1.00 ("
    )
    assert look.notes[0].endswith("; a model may learn these; collect all classes alike")
    assert look.notes[1].startswith("copies inside a class: 1, c0/5.jpg (c0): the same file as c0/2.jpg; ")
    assert len(look.notes) == 2  # that one image has two classes is a warning of the scan already


def test_the_whole_inspection_names_the_same_images_for_their_light(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(44):
        pixels = rng.integers(60, 200, (64, 64, 3), dtype=np.uint8)
        if number == 5:  # dark as a whole, but one pixel in 16 is white
            pixels[:] = 20
            pixels[::4, ::4] = 255
        if number == 30:
            pixels = 255 - pixels // 8
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "ab"[number % 2] / f"{number:02}.png")
    seen = FolderSource(root=tmp_path).scanned
    assert seen is not None
    look, _ = module.first_look(seen, state="a")
    counts = Counter(str(issue.kind) for issue in inspected(tmp_path).issues)
    assert {"dark": 1, "bright": 1}.items() <= look.issues.items()
    assert {"dark": 1, "bright": 1}.items() <= counts.items()


def test_bytes_a_pixel_tell_classes_apart_where_images_are_files() -> None:
    one = scanned(per_class=30, classes=2)
    assert one.num_bytes is not None
    one.num_bytes[30:] *= 3
    look, _ = module.first_look(one, state="a")
    assert look.notes[0].startswith("classes told apart by file properties, bytes a pixel: ")


def test_three_kinds_get_a_line_and_the_rest_one_together() -> None:
    one = scanned(per_class=3, classes=40)
    one.content.sizes[0] = 20, 20
    one.content.thumbs[3] = 128  # one colour, as the thumb of a fine texture is: not told
    one.content.thumbs[6] //= 8
    one.content.digests[1] = one.content.digests[0]
    look, _ = module.first_look(one, state="a")
    assert [note.partition(":")[0] for note in look.notes[:3]] == [
        "classes too small to judge",
        "copies inside a class",
        "images much darker than the others",
    ]
    assert look.notes[3:] == ["also images of another size than the others (1)"]


def test_twenty_thousand_classes_of_three_images() -> None:
    look, _ = module.first_look(scanned(per_class=3, classes=20_000), state="a")
    assert look.issues == {"small_class": 20_000}
    assert len(look.notes[0]) < 250


def test_the_look_is_kept_for_the_state_of_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = scanned(per_class=3, classes=2, kept=tmp_path / "kept")
    look, first = module.first_look(one, state="a")
    assert first
    monkeypatch.setattr(module, "_look", lambda _: pytest.fail("looked again"))
    assert module.first_look(one, state="a") == (look, False)
    monkeypatch.undo()
    assert module.first_look(one, state="b")[1]
    for path in (tmp_path / "kept").iterdir():
        path.write_text('{"issues": []}')
    assert module.first_look(one, state="a") == (look, True)


def test_where_nothing_can_be_kept_every_run_looks(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    one = scanned(per_class=3, classes=2, kept=tmp_path / "file" / "kept")
    assert module.first_look(one, state="a") == module.first_look(one, state="a")


def test_the_first_run_says_all_and_the_next_one_line(image_folder: Path, tmp_path: Path) -> None:
    shutil.copy(image_folder / "cats/00.png", image_folder / "cats/copy.png")
    cache = str(tmp_path / "cache")

    def run() -> tuple[InspectionSection, list[str]]:
        source = FolderSource(root=image_folder, scan_dir=cache)
        seen = inspection_of(source, state=source.fingerprint())
        return seen, inspection_notes(source, seen)

    first, notes = run()
    command = f"thawline inspect-images {image_folder}"
    assert "copies inside a class: 1, cats/copy.png (cats): the same file as cats/00.png" in "\n".join(notes)
    assert "; data.exclude=outputs/inspections/images/issues.csv keeps one of each" in "\n".join(notes)
    assert notes[-1] == (
        f"{command} looks closer than at these thumbs, shows the images, and writes "
        "data.exclude=outputs/inspections/images/issues.csv"
    )
    again, notes = run()
    assert notes == [f"the first run on these images noted shortcut, copy; see {command}"]
    assert (again.issues, again.notes) == (first.issues, first.notes)
    Image.new("RGB", (32, 32), (1, 200, 1)).save(image_folder / "cats/new.png")
    assert len(run()[1]) > 1


def test_images_that_nobody_read_are_not_looked_at(colours: ColourSource, image_folder: Path) -> None:
    assert inspection_of(colours, state="a") == InspectionSection()
    assert inspection_notes(colours, InspectionSection()) == []
    assert inspection_of(FolderSource(root=image_folder, verify=False), state="a") == InspectionSection()
