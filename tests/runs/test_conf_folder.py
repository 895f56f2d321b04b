"""The configs are found in a wheel and in a clone."""

from pathlib import Path

import pytest

from thawline.runs.conf_folder import conf_folder

ROOT = Path(__file__).resolve().parents[2]


def configs(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "train.yaml").touch()
    return folder


def test_of_this_clone() -> None:
    assert conf_folder() == ROOT / "conf"


def test_a_wheel_carries_its_own(tmp_path: Path) -> None:
    configs(tmp_path / "conf")  # somebody else's
    inside = configs(tmp_path / "lib" / "thawline" / "conf")
    assert conf_folder(inside.parent) == inside


def test_a_clone_has_one_copy_at_the_top(tmp_path: Path) -> None:
    top = configs(tmp_path / "conf")
    assert conf_folder(tmp_path / "src" / "thawline") == top


def test_missing_configs_are_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"there is no train\.yaml in .* or "):
        conf_folder(tmp_path / "src" / "thawline")
