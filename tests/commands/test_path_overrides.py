import os
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from thawline.commands.path_overrides import cut_at_a_space, quoted_path, quoted_paths

NAMES = (
    "사진",
    "bücher",
    "dataset (1)",
    "a,b",
    "it's",
    'say "x"',
    "[a]",
    "{a}",
    "$0_$50",
    "${x}",
    "~x",
    "a=b",
    "two\nlines",
)
NAMES += (
    os.fsdecode(b"caf\xe9"),
    "back\\slash",
    "end\\",
    'q\\"x',
    "!x",
    "#a",
    "a:b",
    "a\\${x}",
    " lead",
    "trail ",
    "1e5",
)
NAMES += ("true", "100%", "*", "a;b", "a&b", "<>", "`", "null ", "choice(a)", '"quoted"', "a 'b' c")


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_hydra_reads_the_path_that_was_typed(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.mkdir()
    override = OverridesParser.create().parse_override(quoted_path(f"data.root={path}"))
    config = OmegaConf.create({"root": None})
    config.root = override.value()
    assert config.root == str(path)


@pytest.mark.parametrize("name", ["new (1)", "a,b", "사진"])
def test_a_folder_that_is_still_to_be_made(name: str) -> None:
    override = OverridesParser.create().parse_override(quoted_path(f"output_dir={name}"))
    assert override.value() == name


def test_what_is_quoted_is_quoted_once(tmp_path: Path) -> None:
    typed = quoted_path(f"data.root={tmp_path}/a (1)")
    assert quoted_path(typed) == typed


def test_a_sweep_over_folders_stays_one(tmp_path: Path) -> None:
    assert quoted_paths(["-m", "data.root=a,b"]) == ["-m", "data.root=a,b"]
    assert quoted_paths(["data.root=a,b"]) == ['data.root="a,b"']
    (tmp_path / "a,b").mkdir()
    assert quoted_paths(["-m", f"data.root={tmp_path}/a,b"])[1] == f'data.root="{tmp_path}/a,b"'


def test_what_is_hydras_stays() -> None:
    for argument in (
        "optim.lr=1,2",
        "data.root=null",
        "resume=",
        "output_dir=${oc.env:HOME}/x",
        "--cfg",
        "+data.root=x",
    ):
        assert quoted_path(argument) == argument


def test_the_home_folder_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert quoted_path("output_dir=~/runs (1)") == 'output_dir="/home/me/runs (1)"'


def test_shards_are_a_pattern_or_a_list() -> None:
    override = OverridesParser.create().parse_override(quoted_path("data.shards=s (1)/{000..015}-*.tar"))
    assert override.value() == "s (1)/{000..015}-*.tar"
    override = OverridesParser.create().parse_override(quoted_path("data.shards=['a/*.tar','b/*.tar']"))
    assert override.value() == ["a/*.tar", "b/*.tar"]


@pytest.mark.parametrize(
    ("word", "arguments", "whole"),
    [
        ("photos", ["train.py", "data.root=my", "photos"], "'data.root=my photos'"),
        ("new", ["train.py", "seed=0", "+data.root=my", "new", "photos", "--cfg", "job"], "'+data.root=my new photos'"),
        ("photos", ["train.py", "seed=0", "photos"], ""),
        ("photos", ["train.py", "photos"], ""),
        ("photos", [], ""),
    ],
)
def test_a_path_that_a_space_has_cut(word: str, arguments: list[str], whole: str) -> None:
    assert cut_at_a_space(word, arguments) == whole
