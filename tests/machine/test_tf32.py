"""TF32 on and off, by names that all of torch understands; the state is torch's, so it can be read without a GPU."""

from collections.abc import Iterator

import pytest
import torch
from described_devices import A100, LAPTOP

from thawline.machine import tf32
from thawline.machine.compute import Compute
from thawline.machine.number_formats import Precision
from thawline.machine.tf32 import rounding_now, set_tf32, tf32_in_use, tf32_restored


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    with tf32_restored():
        yield


def test_on_and_off_reach_products_and_convolutions() -> None:
    set_tf32(True)
    assert tf32_in_use() == "products and convolutions"
    set_tf32(False)
    assert tf32_in_use() == "off"


@pytest.mark.parametrize("on", [True, False])
def test_what_lightning_and_inductor_read_stays_readable(on: bool) -> None:
    set_tf32(on)
    assert torch.get_float32_matmul_precision() == ("high" if on else "highest")
    assert torch.backends.cuda.matmul.allow_tf32 is on
    assert torch.backends.cudnn.allow_tf32 is on
    assert torch.backends.cuda.matmul.fp32_precision == ("tf32" if on else "ieee")


def test_it_is_put_back() -> None:
    before = tf32_in_use()
    with tf32_restored():
        set_tf32(before == "off")
        assert tf32_in_use() != before
    assert tf32_in_use() == before


def test_a_run_sets_it_on_cuda_only() -> None:
    set_tf32(True)
    Compute(LAPTOP, Precision("32-true")).set_up()
    assert tf32_in_use() == "products and convolutions"
    Compute(A100, Precision("32-true")).set_up()
    assert tf32_in_use() == "off"
    Compute(A100, Precision("bf16-mixed")).set_up()
    assert tf32_in_use() == "products and convolutions"


def test_a_stores_key_names_the_card_and_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf32, "described", lambda device: A100)
    keys = []
    for on in (True, False):
        set_tf32(on)
        keys.append(rounding_now(torch.device("cuda")))
    assert keys == ["cuda 8.0, tf32 products and convolutions", "cuda 8.0, tf32 off"]
