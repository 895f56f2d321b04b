"""What is said of a key that is not there, a value of another kind, an option that is none: without a run."""

import sys
from collections.abc import Callable

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from thawline.commands.command_line import refuse_unknown_options
from thawline.commands.error_lines import explain
from thawline.commands.known_keys import needed_option, options_with
from thawline.commands.predict import main as predict_main
from thawline.errors import UserError
from thawline.runs.conf_folder import conf_folder
from thawline.runs.config import advise_settings, budget_settings

Says = Callable[..., str]


@pytest.fixture
def said() -> Says:
    """The line for a command line that Hydra does not compose."""

    def line(*overrides: str) -> str:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            try:
                compose("train", list(overrides))
            except Exception as error:
                return explain(error) or ""
        raise AssertionError("nothing is wrong with it")

    return line


def test_a_key_of_another_option_names_the_option(said: Says) -> None:
    line = "data.root needs data=folder: add data=folder; these have it too: data=eurosat, data=fashion_mnist"
    assert said("scenario=auto", "data.root=photos").startswith(line)
    assert needed_option("data.shards", []) == "data.shards needs data=webdataset: add data=webdataset"
    assert needed_option("data.shards", ["data=digits"]).endswith(": write it in place of data=digits")
    assert needed_option("data.file", []).startswith("data.file needs data=medmnist or data=table: add one of them")
    assert options_with("model.head.hidden") == ["model/head=mlp"]
    assert options_with("strategy.lora.rank") == ["strategy=lora"]  # written from the top of the config
    assert options_with("data.nonsense") == []


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("data.fit.image_size=96", "data.fit.image_size: no such key; did you mean model.image_size?"),
        ("model.batch_size=8", "model.batch_size: no such key; did you mean data.batch_size? allowed are "),
        ("lr=1", "lr: no such key; did you mean optim.lr? allowed are "),  # not strategy.adamw.lr
    ],
)
def test_a_key_in_the_wrong_section_names_the_right_one(said: Says, override: str, says: str) -> None:
    assert said("scenario=small_different", override).startswith(says)


@pytest.mark.parametrize(
    ("settings", "section", "says"),
    [
        (budget_settings, {"budget": {"minutes": "abc"}}, "budget.minutes=abc: give a number, such as 2"),
        (budget_settings, {"budget": {"memory_gb": "all"}}, "budget.memory_gb=all: give a number"),
        (advise_settings, {"advise": {"max_images": 1.5}}, "advise.max_images=1.5: give a whole number, such as 1000"),
    ],
)
def test_a_value_of_another_kind_says_what_to_give(
    settings: Callable[..., object], section: dict[str, dict[str, object]], says: str
) -> None:
    with pytest.raises(Exception, match="Value") as wrong:
        settings(OmegaConf.create(section))
    assert explain(wrong.value) == says


@pytest.mark.parametrize("arguments", [["--root", "photos"], ["seed=0", "--root=photos"], ["-data.root", "photos"]])
def test_an_option_that_is_none_says_key_value(arguments: list[str]) -> None:
    with pytest.raises(UserError, match=r": no such option; write key=value, such as data\.root=photos; see --help"):
        refuse_unknown_options(arguments)


def test_options_of_hydra_are_let_through() -> None:
    refuse_unknown_options(["-m", "--cfg", "job", "--multi", "-sc", "query=bash", "--config-dir=x", "~a", "+b=-1"])


def test_predict_without_arguments_lacks_the_run_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images may come from standard input."""
    monkeypatch.setattr(sys, "argv", ["thawline"])
    with pytest.raises(SystemExit):
        predict_main()
    assert "RUN [IMAGES ...]\nthawline predict: error: the following arguments are required: RUN\n" in (
        capsys.readouterr().err
    )
