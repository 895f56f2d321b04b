"""model.json: a change is found and named; files of earlier versions have no checksum."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from model_json import read_values

from thawline.deploy.description import Architecture, Calibration, Description, HeadPart, Preprocessing, Provenance
from thawline.deploy.description_file import read_description, write_description
from thawline.errors import UserError

DESCRIPTION = Description(
    class_names=["Ähre", "big dog"],
    architecture=Architecture("test_resnet", 32, 3, HeadPart("a.B", {}), None, [1], 0.0, "float32", "32-true"),
    preprocessing=Preprocessing(32, "crop", "bicubic", 0.9, [0.5] * 3, [0.5] * 3),
    calibration=Calibration(1.25, class_thresholds=[0.5, 0.25]),
    provenance=Provenance(
        "r", "small", "head", "embedded", "0" * 64, "mit", "pets", "f", 9, {"a": 0.5}, {"torch": "2"}
    ),
    sha256="1" * 64,
)


def test_every_changed_byte_is_found_and_the_file_named(tmp_path: Path) -> None:
    write_description(tmp_path, DESCRIPTION)
    assert read_description(tmp_path) == DESCRIPTION
    path = tmp_path / "model.json"
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    for place, byte in enumerate(content):
        changed = bytearray(content)
        changed[place] = (byte + generator.integers(1, 256)) % 256
        path.write_bytes(changed)
        with pytest.raises(UserError, match=r"model\.json: (its SHA-256 is not|not JSON|not the description)"):
            read_description(tmp_path)


def test_a_value_that_could_be_right_is_found_by_the_checksum(tmp_path: Path) -> None:
    write_description(tmp_path, DESCRIPTION)
    path = tmp_path / "model.json"
    path.write_bytes(path.read_bytes().replace(b"1.25", b"1.26"))
    says = r"model\.json: its SHA-256 is not that on its second line; the file was changed or cut short: bring it back"
    with pytest.raises(UserError, match=says):
        read_description(tmp_path)
    write_description(tmp_path, DESCRIPTION)
    path.write_bytes(path.read_bytes().replace(b'"checksum"', b'"chequesum"'))
    with pytest.raises(UserError, match=says):
        read_description(tmp_path)


def test_the_checksum_is_that_of_the_file_without_its_line_and_may_be_taken_out(tmp_path: Path) -> None:
    write_description(tmp_path, DESCRIPTION)
    path = tmp_path / "model.json"
    first, line, *rest = path.read_text().splitlines(keepends=True)
    assert json.loads(path.read_text())["checksum"] == hashlib.sha256("".join([first, *rest]).encode()).hexdigest()
    assert line.startswith(' "checksum": ')
    path.write_text("".join([first, *rest]).replace("1.25", "1.5"))
    assert read_description(tmp_path).calibration.temperature == 1.5


def test_a_file_of_an_earlier_version_has_none(tmp_path: Path) -> None:
    write_description(tmp_path, DESCRIPTION)
    values = read_values(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(values))
    assert read_description(tmp_path) == DESCRIPTION
