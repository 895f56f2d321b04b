"""How far a training is stands in its record from the beginning of every epoch on."""

from types import SimpleNamespace
from typing import Any

from lightning.pytorch.trainer.states import TrainerFn

from thawline.callbacks.note_progress import NoteProgress
from thawline.machine.run_progress import Progress


def test_an_epoch_that_begins_is_saved_and_what_follows_is_noted() -> None:
    saved: list[str] = []
    progress = Progress("preparing")
    watch: Any = NoteProgress(progress, epochs=3, save=lambda: saved.append(progress.where))
    trainer = SimpleNamespace(
        current_epoch=1, global_step=4, is_global_zero=True, state=SimpleNamespace(fn=TrainerFn.FITTING)
    )
    watch.on_fit_start(trainer)
    watch.on_train_epoch_start(trainer, None)
    assert saved == [" while training, in epoch 2 of 3, at step 4"]
    watch.on_validation_start(trainer)
    assert progress.doing == "validating"
    watch.on_validation_end(trainer)
    assert progress.doing == "training"
    trainer.global_step = 7
    watch.note(trainer)
    assert progress.where == " while training, in epoch 2 of 3, at step 7"
    watch.on_test_start(trainer)
    trainer.current_epoch = 3  # as Lightning counts when the last epoch is over
    watch.note(trainer)
    assert progress.where == " while testing, in epoch 3 of 3, at step 7"
    trainer.is_global_zero = False
    watch.on_train_epoch_start(trainer, None)
    assert len(saved) == 1  # one process writes the record
