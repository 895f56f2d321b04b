"""Say at the end of a run where its test shows that nothing was learned."""

import math
from collections.abc import Sequence

import torch

from thawline.amounts import plural
from thawline.training.metrics import ClassCounts

_SIGMAS = 2.0  # chosen: guessing gets beyond two standard errors in one test of forty


def doubts(counts: ClassCounts, names: Sequence[str]) -> str | None:
    """One sentence about a test whose predictions are worth no more than guesses; None about any other.

    The balanced accuracy is compared, because with classes of unequal size a constant answer has a high accuracy.

    Args:
        counts: Test images of each class.
        names: Of the classes, K.
    """
    of_class = counts.true.double()
    present = of_class > 0
    num_images, num_present = int(of_class.sum()), int(present.sum())
    predicted = counts.predicted.nonzero().flatten().tolist()
    if num_present < 2:
        return None
    if len(predicted) == 1:
        return f"all {num_images:,} test images were taken for {names[predicted[0]]}: the model tells nothing apart"
    recall = (counts.right[present] / of_class[present]).mean().item()
    guess = 1.0 / len(names)
    # Of a mean of recalls, each that of guessing: the sum of p (1 - p) / n over the classes, divided by their number
    # squared; the root of it.
    error = math.sqrt(guess * (1 - guess) * torch.sum(1 / of_class[present]).item()) / num_present
    if recall >= guess + _SIGMAS * error:
        return None
    return (
        f"a balanced accuracy of {recall:.2f} on {plural(num_images, 'test image')} cannot be told from guessing "
        f"({guess:.2f}): the model learned nothing, or the test is too small to show it"
    )
