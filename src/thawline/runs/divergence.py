"""What becomes of a run whose training diverged: with `trainer.on_divergence=test_best` its best weights are tested."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from thawline.callbacks.best_and_last import BestCheckpoint
from thawline.callbacks.guard import FreezeBreach
from thawline.callbacks.stop_diverged import Diverged
from thawline.deploy.portable import MODEL_FOLDER
from thawline.errors import first_line
from thawline.report.run_record import RunRecord
from thawline.settings.trainer_settings import TEST_BEST, TrainerSettings

_ACCURACY = "test/accuracy"


def best_is_tested(settings: TrainerSettings, best: BestCheckpoint) -> bool:
    """Whether the best weights of a training that diverged are to be tested, and there are some."""
    return settings.on_divergence == TEST_BEST and best.best_scores is not None and best.best.is_file()


@contextlib.contextmanager
def told_at_the_end(diverged: Diverged | None, record: RunRecord, folder: Path) -> Iterator[None]:
    """End a block that tests the best weights with the divergence before it, and with what the test gave.

    Args:
        diverged: None where the training went well; then the block ends as it does by itself.
    Raises:
        Diverged: Also where the test failed, but for a breach of the freeze plan.
    """
    if diverged is None:
        yield
        return
    went_wrong = record.progress.doing
    try:
        yield
    except FreezeBreach:
        raise
    except Exception as error:
        raise Diverged(f"{diverged}, and could not be tested: {first_line(error)}") from error
    record.progress.doing = went_wrong
    where = f"of epoch {record.best_epoch}, {_ACCURACY} {record.metrics[_ACCURACY]:.3f}, as a model in"
    raise Diverged(f"{diverged}, {where} {folder / MODEL_FOLDER}")
