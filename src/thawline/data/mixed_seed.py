"""Seeds made from the position in a run, so that a resumed run draws the same numbers as an uninterrupted one."""

import numpy as np


def mixed_seed(*parts: int) -> int:
    """One seed in [0, 2**63) from several whole numbers >= 0, such as (seed, epoch, image)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
