"""Key `select`: the score on the validation images by which one of several weights, penalties or probes is best."""

from thawline.settings.checks import one_of
from thawline.settings.imbalance_setting import equal_classes

AUTO = "auto"
VAL_ACCURACY, VAL_BALANCED, VAL_MACRO_F1, VAL_LOSS = "val/accuracy", "val/balanced_accuracy", "val/macro_f1", "val/loss"
SELECT = (AUTO, VAL_ACCURACY, VAL_BALANCED, VAL_MACRO_F1, VAL_LOSS)


def checked_select(value: str) -> str:
    one_of("select", value, SELECT)
    return value


def resolve_select(value: str, *, tested_weights: str = AUTO, imbalance: str = "none") -> str:
    """Resolve `auto`: what `tested_weights` names, else the balanced accuracy where the classes count alike."""
    if value != AUTO:
        return value
    for score in (VAL_ACCURACY, VAL_LOSS):
        if tested_weights == rule_of(score):
            return score
    return VAL_BALANCED if equal_classes(imbalance) else VAL_ACCURACY


def rule_of(score: str) -> str:
    """`val/loss` -> `val_loss`, as `tested_weights` and run.json write it."""
    return score.replace("/", "_")
