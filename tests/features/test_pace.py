"""What an image costs is measured between batches: what comes before the first is not an image's."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from thawline.features.pace import Pace


def test_what_comes_before_the_first_batch_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("thawline.features.pace.time.perf_counter", lambda: now[0])

    def batches(*of: tuple[int, float]) -> Iterator[list[Tensor]]:
        for number, seconds in of:
            now[0] += seconds
            yield [torch.zeros(number, 3), torch.zeros(number)]

    pace = Pace()
    assert pace.image_s is None
    list(pace.over(batches((64, 30.0))))  # one batch says nothing
    assert pace.image_s is None
    assert [len(rows) for rows, _ in pace.over(batches((64, 30.0), (64, 0.5), (32, 0.22)))] == [64, 64, 32]
    list(pace.over(batches((64, 20.0), (4, 0.03))))  # another split
    assert pace.image_s == pytest.approx(0.75 / 100)
