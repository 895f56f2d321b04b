"""Key `imbalance`: what is done where the classes differ in size."""

from thawline.settings.checks import one_of

NONE, WEIGHTS, SAMPLER, FOCAL, LOGIT_ADJUST = "none", "weights", "sampler", "focal", "logit_adjust"
IMBALANCE = (NONE, WEIGHTS, SAMPLER, FOCAL, LOGIT_ADJUST)
# The largest class over the smallest, from which on a run suggests it.
SUGGESTED_FROM = 3.0


def checked_imbalance(value: str) -> str:
    one_of("imbalance", value, IMBALANCE)
    return value


def equal_classes(imbalance: str) -> bool:
    """Whether probabilities are those of classes that are equally frequent; focal loss keeps the training's shares."""
    return imbalance in (WEIGHTS, SAMPLER, LOGIT_ADJUST)
