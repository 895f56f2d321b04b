"""Which of several stacks to take, by their answers to the same images; and how much too good the choice looks."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from thawline.features.left_out_answers import LeftOutAnswers, of_same_images

_FOLDS = 5  # chosen: what chooses has four fifths of the images
_REPEATS = 10  # of the division into folds; chosen: one alone is off by 5 points among twenty stacks that guess


def best_of(answers: Sequence[LeftOutAnswers]) -> int:
    """The position of the one to take; `answers` come in the order of their cost.

    The one with the lowest log loss is taken, unless a cheaper one is as good: its loss is higher by at most one
    standard error of the difference, image by image, or it classifies as many images right. The cheapest such one is
    taken (the rule of one standard error: Breiman et al. 1984, "Classification and Regression Trees").
    """
    return _best(of_same_images(answers))


def optimism(answers: Sequence[LeftOutAnswers]) -> float:
    """How much higher the accuracy of the one that `best_of` takes is than that of choosing on other images; >= 0.

    What is chosen by images looks too good on them. So the choice is made anew without each fifth of the groups, and
    judged on that fifth; the mean over several divisions into fifths counts. Measured: the best of twenty stacks that
    guess one of two classes of 100 images looks like 0.556, and less its optimism it is 0.49.
    """
    answers = of_same_images(answers)
    if len(answers) == 1:
        return 0.0
    judged = [_judged_elsewhere(answers, _folds(answers[0].groups, seed=seed)) for seed in range(_REPEATS)]
    taken = float(answers[_best(answers)].right.double().mean())
    return max(taken - sum(judged) / _REPEATS, 0.0)


def _judged_elsewhere(answers: Sequence[LeftOutAnswers], fold: Tensor) -> float:
    """Accuracy where every fold (N,) is answered by the one that the others choose."""
    right = 0
    for number in torch.unique(fold):
        inside = fold == number
        choosing = answers if bool(inside.all()) else [_some(a, ~inside) for a in answers]
        right += int(answers[_best(choosing)].right[inside].sum())
    return right / len(fold)


def standard_error(differences: Tensor, groups: Tensor) -> float:
    """Of the mean of differences (N,), where images of one group (N,) count together."""
    _, of_image = torch.unique(groups, return_inverse=True)
    apart = differences.double() - differences.double().mean()
    sums = torch.zeros(int(of_image.max()) + 1, dtype=torch.float64).index_add_(0, of_image, apart)
    return math.sqrt(float(sums.square().sum())) / len(differences)


def _best(answers: Sequence[LeftOutAnswers]) -> int:
    least = min(range(len(answers)), key=lambda number: float(answers[number].losses.mean()))
    best = answers[least]
    for number, cheaper in enumerate(answers[:least]):
        worse = cheaper.losses - best.losses
        as_good = float(worse.mean()) <= standard_error(worse, best.groups)
        if as_good or int(cheaper.right.sum()) >= int(best.right.sum()):
            return number
    return least


def _folds(groups: Tensor, *, seed: int) -> Tensor:
    """Which of the folds every image is in, (N,); images of a group lie in one."""
    unique, of_image = torch.unique(groups, return_inverse=True)
    order = torch.randperm(len(unique), generator=torch.Generator().manual_seed(seed))
    return (order % _FOLDS)[of_image]


def _some(answers: LeftOutAnswers, rows: Tensor) -> LeftOutAnswers:
    return LeftOutAnswers(*(tensor[rows] for tensor in vars(answers).values()))
