"""Every file in conf/data names a source that exists and passes it arguments that it takes."""

import importlib
import inspect
from pathlib import Path

import pytest
import yaml

from thawline.data.sources.image_files import ImageFiles
from thawline.data.sources.torchvision_dataset import DATASETS

CONF = Path(__file__).resolve().parents[3] / "conf" / "data"
SHARED = yaml.safe_load((CONF.parent / "loader" / "default.yaml").read_text())
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_target_takes_the_arguments(name: str) -> None:
    config = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert config["defaults"][-1] == "_self_"  # what stands here wins over the shared settings
    arguments = dict(config["source"])
    module, _, attribute = arguments.pop("_target_").rpartition(".")
    signature = inspect.signature(getattr(importlib.import_module(module), attribute))
    signature.bind(**arguments)
    if "settings" in signature.parameters:  # the rest goes on to the base class
        inspect.signature(ImageFiles).bind(
            Path(),
            None,
            name="",
            where="",
            **{key: arguments[key] for key in arguments.keys() - signature.parameters.keys()},
        )


@pytest.mark.parametrize("name", NAMES)
def test_references_have_a_value_in_the_same_file(name: str) -> None:
    config = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    for value in config["source"].values():
        if isinstance(value, str) and value.startswith("${data."):
            assert value.removeprefix("${data.").removesuffix("}") in {**config, **SHARED}


@pytest.mark.parametrize("name", NAMES)
def test_header_gives_the_launch_command(name: str) -> None:
    header = [line for line in (CONF / f"{name}.yaml").read_text().splitlines() if line.startswith("# ")]
    assert any(line.startswith("# python train.py ") and f" data={name}" in line for line in header)


def test_every_torchvision_data_set_has_a_config() -> None:
    assert set(DATASETS) <= set(NAMES)
