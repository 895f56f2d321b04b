"""The time of a fit of many epochs from one of few, whose epochs all cost the same."""

from collections.abc import Sequence

MIN_EPOCHS = 2  # one with what only the first epoch pays for, one without


def scaled_fit_s(epoch_ends: Sequence[float], fit_s: float, *, epochs: int) -> float:
    """Seconds that the fit would have taken with `epochs` epochs.

    What precedes the end of the first epoch and what follows the end of the last one count once; each further epoch
    takes the mean of those measured after the first.

    Args:
        epoch_ends: Seconds from the start of the fit to the end of each epoch, at least 2 where there is to scale.
        fit_s: Of the fit as it was measured.
    Raises:
        ValueError: One epoch was measured, and another number is asked for.
    """
    measured = len(epoch_ends)
    if measured == epochs:
        return fit_s
    if measured < MIN_EPOCHS:
        raise ValueError(
            f"{measured} epoch was measured; at least {MIN_EPOCHS} are needed to tell the time of {epochs}"
        )
    per_epoch = (epoch_ends[-1] - epoch_ends[0]) / (measured - 1)
    return fit_s + per_epoch * (epochs - measured)
