"""Files, folders, patterns, lists and standard input become one list, in the order given."""

import io
import os
from pathlib import Path

import pytest

from thawline.deploy.image_list import PathList, listed
from thawline.errors import UserError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """b.jpg, a.png, notes.md, and more/ with images at two depths, a hidden one and a text; now the current folder."""
    for name in ("b.jpg", "a.png", "notes.md", "more/2.jpg", "more/10.jpg", "more/deep/x.PNG", "more/.hid.jpg",
                 "more/read.txt"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paths(*arguments: str, stdin: bytes = b"") -> list[str]:
    return list(listed(arguments, stdin=io.BytesIO(stdin)).paths)


def test_the_order_is_that_of_the_arguments_and_of_names_in_folders(here: Path) -> None:
    assert paths("b.jpg", "more", "a.png") == ["b.jpg", "more/10.jpg", "more/2.jpg", "more/deep/x.PNG", "a.png"]
    assert paths("b.jpg", "b.jpg") == ["b.jpg", "b.jpg"]
    assert paths("notes.md") == ["notes.md"]  # named by the user: a row, with an error where it is no image


def test_patterns_take_images_and_folders(here: Path) -> None:
    assert paths("*.jpg") == ["b.jpg"]
    assert paths("**/*.jpg") == ["b.jpg", "more/10.jpg", "more/2.jpg"]
    assert paths("mor?") == ["more/10.jpg", "more/2.jpg", "more/deep/x.PNG"]
    result = listed(["*"], stdin=io.BytesIO())
    assert list(result.paths) == ["a.png", "b.jpg", "more/10.jpg", "more/2.jpg", "more/deep/x.PNG"]
    assert result.passed_over == {".md": 1, ".txt": 1}
    assert paths("more/**") == ["more/10.jpg", "more/2.jpg", "more/deep/x.PNG"]  # each once


def test_where_a_pattern_searches_no_copies_may_go(here: Path) -> None:
    assert listed(["more/**/*.jpg"], stdin=io.BytesIO()).folders == [Path("more")]
    assert listed(["**/*.jpg"], stdin=io.BytesIO()).folders == [Path()]
    assert listed(["more/*.jpg"], stdin=io.BytesIO()).folders == []  # what lies deeper is no match


def test_a_name_with_brackets_that_is_there_is_no_pattern(here: Path) -> None:
    (here / "x[1].jpg").write_bytes(b"")
    assert paths("x[1].jpg") == ["x[1].jpg"]


def test_lists_begin_here_or_in_their_folder(here: Path) -> None:
    (here / "list.txt").write_bytes(b"\xef\xbb\xbfb.jpg\r\n\r\nmore/2.jpg\r\nmissing.jpg\r\n")
    assert paths("list.txt") == ["b.jpg", "more/2.jpg", "missing.jpg"]
    (here / "more" / "of.lst").write_text("2.jpg\n10.jpg\n")
    assert paths("more/of.lst") == ["more/2.jpg", "more/10.jpg"]


def test_tables_are_lists_of_their_column_path(here: Path) -> None:
    (here / "t.csv").write_text('label;path\nx;b.jpg\ny;"more/2.jpg"\n;\n')
    assert paths("a.png", "t.csv") == ["a.png", "b.jpg", "more/2.jpg"]
    (here / "more" / "T.TSV").write_text("path\n2.jpg\n10.jpg\nmissing.jpg\n")
    assert paths("more/T.TSV") == ["more/2.jpg", "more/10.jpg", "more/missing.jpg"]
    (here / "t.jsonl").write_text('{"path": "b.jpg", "top": []}\n')
    assert paths("t.jsonl") == ["b.jpg"]
    for content, says in (
        (
            "file,label\nb.jpg,x\n",
            r"t\.csv: has no column 'path'; it has .*, label; a table of images needs a column path$",
        ),
        (
            "path\nnowhere.jpg\n",
            r"t\.csv: read as a table of images, but names no file .*the first is 'nowhere\.jpg'",
        ),
        ("path\n", r"t\.csv: has no rows$"),
    ):
        (here / "t.csv").write_text(content)
        with pytest.raises(UserError, match=says):
            paths("t.csv")


def test_standard_input_is_a_line_or_a_zero_byte_a_path(here: Path) -> None:
    assert paths("a.png", "-", stdin=b"b.jpg\nmore/2.jpg") == ["a.png", "b.jpg", "more/2.jpg"]
    assert paths("-", stdin=b"two\nlines.jpg\0b.jpg\0") == ["two\nlines.jpg", "b.jpg"]


def test_any_name_is_kept_and_the_digest_depends_on_names_and_order() -> None:
    names = ["a.jpg", os.fsdecode(b"caf\xe9.jpg"), "日本.png", ""]
    assert list(PathList(names)) == names
    assert PathList(["a", "bc"]).digest() != PathList(["ab", "c"]).digest()
    assert PathList(["a", "b"]).digest() != PathList(["b", "a"]).digest()
    with pytest.raises(IndexError):
        PathList(names)[4]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("gone.jpg",), "gone.jpg: no such file or folder"),
        (("b.jpg", "gone/*.jpg"), r"gone/\*.jpg: matches no file"),
        (("more/read.txt",), "more/read.txt: read as a list of images, .* it is empty"),
        (("prose.txt",), "prose.txt: read as a list of images, .*the first is 'Once upon a time'"),
        (("empty",), "empty: holds no image; looked for"),
        (("texts",), r"texts: holds no image \(only 1 .md\); looked for"),
        (("-",), "standard input: no path came; write one on each line, or name files or folders"),
        (("-", "empty"), "standard input, empty: holds no image"),
    ],
)
def test_what_names_no_image_is_one_line(here: Path, arguments: tuple[str, ...], says: str) -> None:
    (here / "prose.txt").write_text("Once upon a time\n")
    (here / "empty").mkdir()
    (here / "texts").mkdir()
    (here / "texts" / "a.md").write_text("")
    with pytest.raises(UserError, match=says):
        paths(*arguments)
