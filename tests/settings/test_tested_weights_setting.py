"""Which weights are tested, by the rule and by its reasons; and of equals, which is the best."""

from pathlib import Path

import pytest
import torch

from thawline.callbacks.best_and_last import BestCheckpoint, Scores
from thawline.errors import UserError
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.select_setting import VAL_LOSS
from thawline.settings.tested_weights_setting import checked_tested_weights, resolve_tested_weights

COSINE = OptimSettings(schedule="cosine")


@pytest.mark.parametrize(
    ("value", "optim", "complete", "rule"),
    [
        ("auto", COSINE, True, "last"),
        ("auto", OptimSettings(schedule="one_cycle"), True, "last"),
        ("auto", OptimSettings(schedule="constant"), True, "val_accuracy"),
        ("auto", OptimSettings(schedule="plateau"), True, "val_accuracy"),
        ("auto", COSINE, False, "val_accuracy"),  # stopped early: the rate has not fallen yet
        ("auto", OptimSettings("lbfgs", penalties=[1.0]), True, "val_accuracy"),  # the epochs are penalties
        ("val_loss", COSINE, True, "val_loss"),
        ("last", OptimSettings(schedule="constant"), False, "last"),
        ("auto", OptimSettings("ridge"), True, "refit"),
        ("last", OptimSettings("ridge"), True, "last"),
    ],
)
def test_rule(value: str, optim: OptimSettings, complete: bool, rule: str) -> None:
    assert resolve_tested_weights(value, optim=optim, complete=complete)[0] == rule


def test_another_value_is_refused() -> None:
    with pytest.raises(UserError, match="tested_weights=best: allowed are auto, last, val_accuracy, val_loss"):
        checked_tested_weights("best")


def test_of_equally_accurate_weights_the_lower_loss_is_better() -> None:
    early, late = Scores(accuracy=1.0, loss=0.7), Scores(accuracy=1.0, loss=0.1)
    assert late.beats(early)
    assert not early.beats(late)
    assert not early.beats(early)  # the first of equals stays


def test_by_loss_the_accuracy_breaks_ties() -> None:
    assert Scores(0.5, 0.1).beats(Scores(0.9, 0.2), by=VAL_LOSS)
    assert Scores(0.9, 0.1).beats(Scores(0.5, 0.1), by=VAL_LOSS)


def test_a_loss_that_is_no_number_is_the_worst() -> None:
    good = dict.fromkeys(("val/accuracy", "val/balanced_accuracy", "val/macro_f1"), 0.9)
    broken = Scores.of({**good, "val/loss": float("nan")})
    assert Scores(0.1, 5.0).beats(broken, by=VAL_LOSS)


def test_a_checkpoint_of_an_earlier_version_still_knows_its_best(tmp_path: Path) -> None:
    before = BestCheckpoint(tmp_path)
    before.best_model_score, before.best_scores = torch.tensor(0.75), Scores(0.75, 0.3)
    state = {key: value for key, value in before.state_dict().items() if key != "scores"}
    resumed = BestCheckpoint(tmp_path)
    resumed.load_state_dict(state)
    assert resumed.best_scores == Scores(0.75, float("inf"))
