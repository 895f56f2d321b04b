"""A baseline in the style of fastai's `Learner.fine_tune`: the head alone for an epoch, then everything.

It is Thawline's classifier with fastai's plan and numbers, not fastai itself. In the first epoch the head trains alone
at `base_lr`. Then every stage trains for as many epochs as the options of the sweep do, at rates that rise by a factor
from stage to stage: from `base_lr` / 2 / `lr_mult` at the images to `base_lr` / 2 at the head. Each part is one cycle.
Different from fastai: the head is one linear layer; BatchNorm of frozen stages stays still; AdamW's momentum does not
cycle; the first cycle rises for 30 % of its steps, not 99 %; images are not augmented, as in every other row.
"""

from judge.on_rows import Training
from thawline.advisor.choices import epochs_of
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings

# Defaults of `Learner.fine_tune` and `Learner` of fastai 2: base_lr, lr_mult, freeze_epochs, pct_start, wd.
_BASE_LR = 2e-3
_LR_MULT = 100
_HEAD_EPOCHS = 1
_PCT_START = 0.3
_WEIGHT_DECAY = 0.01


def fastai_style(*, num_stages: int, num_train: int) -> Training:
    head, decay = _BASE_LR / 2, _LR_MULT ** (-1 / num_stages)
    strategy = StrategySettings("fastai_style", unfreeze_depth="all", thaw_after=_HEAD_EPOCHS, thaw_lr=head)
    optim = OptimSettings(
        lr=_BASE_LR,
        backbone_lr=head * decay,
        layer_decay=decay,
        weight_decay=_WEIGHT_DECAY,
        schedule="one_cycle",
        warmup_fraction=_PCT_START,
        restart_at_thaw=True,
    )
    return Training(strategy, optim, _HEAD_EPOCHS + epochs_of(num_train))
