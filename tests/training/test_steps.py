"""Steps and validations by hand."""

import pytest

from thawline.settings.trainer_settings import TrainerSettings
from thawline.training.steps import plan_steps


@pytest.mark.parametrize(
    ("settings", "per_epoch", "total", "validate_every"),
    [
        (TrainerSettings(max_epochs=3), 17, 51, 1.0),
        (TrainerSettings(max_epochs=3, max_steps=40), 17, 40, 1.0),
        (TrainerSettings(max_epochs=3, max_steps=5), 17, 5, 5),  # validates before the bound
        (TrainerSettings(max_epochs=-1, max_steps=1000), 17, 1000, 1.0),
        (TrainerSettings(max_epochs=3, val_check_interval=50), 17, 51, 1.0),  # longer than an epoch
        (TrainerSettings(max_epochs=3, val_check_interval=0.5), 17, 51, 8),
        (TrainerSettings(max_epochs=3, accumulate_grad_batches=4), 5, 15, 1.0),  # 17 / 4, rounded up
        (TrainerSettings(max_epochs=3, limit_train_batches=6), 6, 18, 1.0),
        (TrainerSettings(max_epochs=3, limit_train_batches=0.5), 8, 24, 1.0),
    ],
)
def test_seventeen_batches(settings: TrainerSettings, per_epoch: int, total: int, validate_every: int | float) -> None:
    steps = plan_steps(17, settings)
    assert (steps.per_epoch, steps.total, steps.validate_every) == (per_epoch, total, validate_every)
