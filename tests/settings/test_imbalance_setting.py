"""Keys `imbalance` and `select`: what they become, and what is refused, from the config as it is composed."""

import functools
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf, open_dict

from thawline.callbacks.best_and_last import Scores
from thawline.commands.command_line import slug
from thawline.errors import UserError
from thawline.runs.composed import Composed, resolve
from thawline.runs.conf_folder import conf_folder
from thawline.runs.config import settings_of
from thawline.settings.conflicts import refuse_conflicts
from thawline.settings.imbalance_setting import IMBALANCE, equal_classes
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.regularize_settings import RegularizeSettings
from thawline.settings.run_settings import Settings
from thawline.settings.select_setting import resolve_select
from thawline.settings.tested_weights_setting import resolve_tested_weights


@functools.cache
def settings(*overrides: str) -> Settings:
    """As a command line gives them."""
    OmegaConf.register_new_resolver("slug", slug, replace=True)
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        return settings_of(resolve(compose("train", list(overrides))))


def test_the_config_starts_with_the_defaults() -> None:
    plain = settings()
    assert (plain.imbalance, plain.select, plain.selected) == ("none", "auto", "val/accuracy")


@pytest.mark.parametrize(
    ("value", "tested_weights", "imbalance", "score"),
    [
        ("auto", "auto", "none", "val/accuracy"),
        ("auto", "auto", "focal", "val/accuracy"),
        ("auto", "auto", "logit_adjust", "val/balanced_accuracy"),
        ("auto", "val_loss", "weights", "val/loss"),
        ("auto", "val_accuracy", "weights", "val/accuracy"),
        ("val/macro_f1", "auto", "weights", "val/macro_f1"),
    ],
)
def test_the_score_that_selects(value: str, tested_weights: str, imbalance: str, score: str) -> None:
    assert resolve_select(value, tested_weights=tested_weights, imbalance=imbalance) == score


def test_a_score_that_is_asked_for_is_a_reason_not_to_test_the_last_weights() -> None:
    cosine = OptimSettings()
    assert resolve_tested_weights("auto", optim=cosine, complete=True, imbalance="weights")[0] == "last"
    rule = resolve_tested_weights("auto", optim=cosine, complete=True, select="val/macro_f1")
    assert rule == ("val_macro_f1", "select=val/macro_f1")
    constant = OptimSettings(schedule="constant")
    assert resolve_tested_weights("auto", optim=constant, complete=True, imbalance="sampler")[0] == (
        "val_balanced_accuracy"
    )


def test_each_score_says_which_weights_are_better_and_the_loss_breaks_ties() -> None:
    one = Scores(accuracy=0.8, loss=0.5, balanced_accuracy=0.4, macro_f1=0.3)
    other = Scores(accuracy=0.7, loss=0.6, balanced_accuracy=0.5, macro_f1=0.3)
    assert one.beats(other, by="val/accuracy")
    assert other.beats(one, by="val/balanced_accuracy")
    assert one.beats(other, by="val/macro_f1")
    assert one.beats(other, by="val/loss")


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["imbalance=smote"], "imbalance=smote: allowed are none, weights, sampler, focal, logit_adjust"),
        (["select=test/accuracy"], "select=test/accuracy: allowed are auto, val/accuracy, val/balanced_accuracy"),
        (
            ["strategy=stacked_probe", "imbalance=sampler"],
            "imbalance=sampler: changes the steps of a training, and optim=ridge solves for the head on all images at "
            "once; use imbalance=weights, or a strategy that trains with optim=adamw",
        ),
        (["strategy=multi_layer_probe", "imbalance=logit_adjust"], "optim=lbfgs solves for the head"),
    ],
)
def test_what_is_typed_and_makes_no_sense_is_refused_in_one_line(overrides: list[str], says: str) -> None:
    with pytest.raises(UserError) as refused:
        refuse_conflicts(settings(*overrides))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("tested_weights", "select", "says"),
    [
        (
            "val_loss",
            "val/macro_f1",
            "select=val/macro_f1: tested_weights=val_loss selects by val/loss; leave one of them out",
        ),
        ("last", "val/loss", "select=val/loss: has no effect beside tested_weights=last, which tests the last weights"),
    ],
)
def test_a_score_that_selects_nothing_is_refused(tested_weights: str, select: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        refuse_conflicts(replace(settings(), tested_weights=tested_weights, select=select))


def test_what_makes_sense_is_taken() -> None:
    for kind in IMBALANCE:
        refuse_conflicts(replace(settings(), imbalance=kind))
        refuse_conflicts(replace(settings("strategy=blend"), imbalance=kind))
    stacked = settings("strategy=stacked_probe")
    refuse_conflicts(replace(stacked, imbalance="weights", select="val/macro_f1"))
    refuse_conflicts(replace(stacked, tested_weights="last", select="val/macro_f1"))  # selects the probes
    refuse_conflicts(replace(settings(), tested_weights="val_loss", select="val/loss"))
    mixed = RegularizeSettings(wise_ft=[0.5, 1.0])  # the share is selected
    refuse_conflicts(replace(settings(), tested_weights="last", select="val/loss", regularize=mixed))


def test_a_config_of_before_balances_as_it_did(tmp_path: Path) -> None:
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        cfg = compose("train", ["strategy=stacked_probe", "+optim.balanced=true", "hydra.run.dir=x"])
    with open_dict(cfg):
        del cfg["imbalance"], cfg["select"]
    OmegaConf.save(resolve(cfg), tmp_path / "config.yaml")
    before = Composed.saved(tmp_path / "config.yaml").read().settings
    assert (before.imbalance, before.select) == ("weights", "auto")


def test_focal_loss_keeps_the_classes_shares() -> None:
    assert [kind for kind in IMBALANCE if equal_classes(kind)] == ["weights", "sampler", "logit_adjust"]
