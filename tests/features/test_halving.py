"""A batch that does not fit in memory is computed in halves; nothing else changes."""

import logging

import pytest
import torch
from torch import Tensor

from thawline.features.halving import Halving


def limited(most: int, calls: list[int]) -> Halving:
    """A device that holds `most` images; `calls` learns the sizes that were tried."""

    def run(images: Tensor) -> list[Tensor]:
        calls.append(len(images))
        if len(images) > most:
            raise torch.OutOfMemoryError("out of memory")
        return [images * 2, images.sum(1)]

    return Halving(run, what="a pass")


def test_the_parts_together_are_the_whole_and_later_batches_start_with_the_size_that_fits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    images, calls = torch.arange(22.0).view(11, 2), []
    run = limited(3, calls)
    with caplog.at_level(logging.WARNING):
        doubled, sums = run(images)
        again, _ = run(images[:4])
    assert torch.equal(doubled, images * 2)
    assert torch.equal(sums, images.sum(1))
    assert torch.equal(again, images[:4] * 2)
    assert calls == [11, 6, 3, 3, 3, 2, 3, 1]  # by hand: 11, its half 6, its half 3, which fits
    assert run.limit == 3
    assert [record.message for record in caplog.records] == [
        "a pass: the memory of cpu is full; going on with 6 images at a time.",
        "a pass: the memory of cpu is full; going on with 3 images at a time.",
    ]


def test_a_batch_that_fits_is_computed_as_it_is() -> None:
    calls: list[int] = []
    images = torch.ones(5, 2)
    assert torch.equal(limited(5, calls)(images)[0], images * 2)
    assert calls == [5]


def test_where_one_image_does_not_fit_the_error_stays_what_it_is() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        limited(0, [])(torch.ones(4, 2))


def test_the_caller_learns_each_new_limit() -> None:
    limits: list[int] = []

    def run(images: Tensor) -> list[Tensor]:
        if len(images) > 2:
            raise torch.OutOfMemoryError
        return [images]

    Halving(run, what="a pass", on_limit=limits.append)(torch.ones(8, 2))
    assert limits == [4, 2]


def test_the_cpus_lack_of_memory_is_halved_too_and_no_other_error() -> None:
    sizes: list[int] = []

    def run(images: Tensor) -> list[Tensor]:
        sizes.append(len(images))
        if len(images) > 2:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 GB")
        return [images]

    assert len(Halving(run, what="a pass")(torch.ones(4, 2))[0]) == 4
    assert sizes == [4, 2, 2]

    def wrong(images: Tensor) -> list[Tensor]:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        Halving(wrong, what="a pass")(torch.ones(4, 2))
