"""The choice among stacks that answered the same images, and how much too good it looks."""

from pathlib import Path

import pytest
import torch

from thawline.features.left_out_answers import LeftOutAnswers, of_same_images
from thawline.features.paired_choice import best_of, optimism, standard_error


def answers(losses: list[float], right: list[bool] | None = None, images: list[int] | None = None) -> LeftOutAnswers:
    numbers = torch.tensor(images if images is not None else range(len(losses)), dtype=torch.int64)
    correct = torch.tensor(right if right is not None else [loss < 0.7 for loss in losses])
    return LeftOutAnswers(numbers, numbers.clone(), torch.tensor(losses, dtype=torch.float64), correct)


def test_the_dearer_one_is_taken_where_it_is_better_by_more_than_a_standard_error() -> None:
    cheap, dear = answers([1.0] * 10, [False] * 10), answers([0.5] * 9 + [0.4], [True] * 10)
    assert best_of([cheap, dear]) == 1


def test_a_cheaper_one_is_kept_within_a_standard_error() -> None:
    cheap = answers([0.5, 0.5, 0.5, 0.5], [True, True, True, False])
    dear = answers([0.1, 0.9, 0.1, 0.8], [True, True, True, True])  # differences 0.4, -0.4, 0.4, -0.3: 0.025 +- 0.19
    assert best_of([cheap, dear]) == 0


def test_a_cheaper_one_is_kept_where_it_has_as_many_right() -> None:
    assert best_of([answers([1.0] * 10, [True] * 10), answers([0.5] * 10, [True] * 10)]) == 0


def test_of_three_the_cheapest_that_is_as_good_is_taken() -> None:
    bad, good, better = answers([2.0] * 8, [False] * 8), answers([0.5, 0.3] * 4), answers([0.3, 0.49] * 4)
    assert best_of([bad, good, better]) == 1


def test_only_images_that_all_answered_count() -> None:
    first = answers([1.0, 2.0, 3.0], images=[5, 9, 7])
    second = answers([4.0, 5.0, 6.0], images=[7, 5, 1])
    one, other = of_same_images([first, second])
    assert one.images.tolist() == other.images.tolist() == [5, 7]
    assert one.losses.tolist() == [1.0, 3.0]
    assert other.losses.tolist() == [5.0, 4.0]


def test_standard_error_by_hand() -> None:
    each = torch.tensor([0, 1, 2, 3])
    assert standard_error(torch.tensor([1.0, -1.0, 1.0, -1.0]), each) == pytest.approx(0.5)
    # Two groups of two: sums of 2 and -2 about the mean of 0, so sqrt(8) / 4.
    assert standard_error(torch.tensor([1.0, 1.0, -1.0, -1.0]), torch.tensor([0, 0, 1, 1])) == pytest.approx(0.5**0.5)


def test_a_choice_among_stacks_that_guess_is_expected_to_guess() -> None:
    generator = torch.Generator().manual_seed(0)
    looks, honest = 0.0, 0.0
    for _ in range(12):
        guesses = []
        for _ in range(20):
            right = torch.rand(100, generator=generator) < 0.5
            guesses.append(answers((1.0 - 0.5 * right.double()).tolist(), right.tolist()))
        accuracy = float(guesses[best_of(guesses)].right.double().mean())
        looks += accuracy / 12
        honest += (accuracy - optimism(guesses)) / 12
    assert looks > 0.54
    assert honest == pytest.approx(0.5, abs=0.03)
    assert optimism(guesses[:1]) == 0.0


def test_a_choice_that_is_the_same_on_all_images_looks_right() -> None:
    assert optimism([answers([1.0] * 40, [False] * 40), answers([0.5] * 40, [True] * 40)]) == 0.0


def test_answers_are_read_as_they_were_written(tmp_path: Path) -> None:
    log_probabilities = torch.tensor([[0.9, 0.1], [0.3, 0.7]]).log()
    labels, images = torch.tensor([0, 0]), torch.tensor([4, 8])
    written = LeftOutAnswers.of(log_probabilities, labels, images=images, groups=torch.tensor([1, 1]))
    assert written.losses.exp().tolist() == pytest.approx([1 / 0.9, 1 / 0.3])
    assert written.right.tolist() == [True, False]
    written.save(tmp_path)
    read = LeftOutAnswers.load(tmp_path)
    assert all(torch.equal(tensor, getattr(read, name)) for name, tensor in vars(written).items())
