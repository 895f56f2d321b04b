"""Which tokens have no place in the image, and what averages and the class token are."""

from types import SimpleNamespace
from typing import Any

import torch

from thawline.features.extract import Tap
from thawline.features.readout import Readout, with_class_token
from thawline.features.stack import probe_taps
from thawline.models.backbone import Backbone
from thawline.models.pooling import CLASS_TOKEN, pool_tokens
from thawline.models.tokens import has_class_token, lie_in_order, num_prefix_tokens


def model(**attributes: Any) -> Any:
    return SimpleNamespace(**attributes)


def test_registers_are_in_no_average_and_the_class_token_comes_first() -> None:
    class_token, registers = torch.full((1, 1, 1), 99.0), torch.full((1, 4, 1), -50.0)
    tokens = torch.cat([class_token, registers, torch.arange(16.0).view(1, 16, 1)], 1)
    pooled = pool_tokens(tokens, [CLASS_TOKEN, 1, 2], num_prefix=5)
    assert {grid: rows.tolist() for grid, rows in pooled.items()} == {
        CLASS_TOKEN: [[99.0]],
        1: [[7.5]],
        2: [[2.5, 4.5, 10.5, 12.5]],
    }


def test_tokens_that_do_not_lie_row_by_row_make_one_cell() -> None:
    tokens = torch.arange(16.0).view(1, 16, 1)
    pooled = pool_tokens(tokens, [1, 2], num_prefix=0, ordered=False)
    assert {grid: rows.tolist() for grid, rows in pooled.items()} == {1: [[7.5]], 2: [[7.5]]}
    assert lie_in_order(model())
    assert not lie_in_order(model(unroll=None))


def test_the_number_of_tokens_shows_whether_the_class_token_is_there_already() -> None:
    with_registers = model(num_prefix_tokens=5, cls_token=torch.zeros(1))
    assert num_prefix_tokens(with_registers, 16 + 5) == 5
    assert num_prefix_tokens(with_registers, 16) == 0  # it is added in a later stage
    assert has_class_token(with_registers, 21)
    assert not has_class_token(with_registers, 16)
    assert not has_class_token(model(num_prefix_tokens=1, cls_token=None), 17)  # a register alone
    assert num_prefix_tokens(model(), 50) == 0


def test_a_stack_reads_class_tokens_beside_averages_and_all_of_them_together() -> None:
    backbone = Backbone("test_vit", weights="none", image_size=32).eval()  # 2 x 2 patches, 7 stages
    grids = with_class_token(backbone, (1, 2))
    assert grids == (CLASS_TOKEN, 1, 2)
    readout = Readout.of(backbone, stages=(0, 1, 2, 6), grids=grids)
    assert readout.taps == (
        Tap(1, 1), Tap(1, 2), Tap(2, 0), Tap(2, 1), Tap(2, 2), Tap(3, 0), Tap(3, 1), Tap(3, 2), Tap(7, 1),
    )  # fmt: skip
    probes = probe_taps(readout.taps)
    assert probes[:9] == [(tap,) for tap in readout.taps]
    assert probes[-1] == (Tap(2, 0), Tap(3, 0))
    assert probes[9] == (Tap(1, 1), Tap(2, 1), Tap(3, 1), Tap(7, 1))


def test_a_network_without_tokens_reads_what_it_read_before(tiny_backbone: Backbone) -> None:
    assert with_class_token(tiny_backbone, (1, 2)) == (1, 2)
