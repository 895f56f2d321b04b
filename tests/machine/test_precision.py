"""Which arithmetic runs where."""

import pytest
import torch

from thawline.errors import UserError
from thawline.machine import precision
from thawline.machine.precision import Precision, choose_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("wanted", "fast_bf16", "expected"),
    [
        ("auto", True, Precision(torch.bfloat16, "bf16-mixed")),
        ("auto", False, Precision(torch.float32, "32-true")),
        ("32-true", True, Precision(torch.float32, "32-true")),
        ("bf16-mixed", False, Precision(torch.bfloat16, "bf16-mixed")),
    ],
)
def test_on_a_cpu(monkeypatch: pytest.MonkeyPatch, wanted: str, fast_bf16: bool, expected: Precision) -> None:
    monkeypatch.setattr(precision, "has_fast_bf16", lambda device: fast_bf16)
    assert choose_precision(wanted, CPU) == expected
    assert expected.training == expected.prefix


def test_unknown_precision_names_the_allowed_ones() -> None:
    with pytest.raises(UserError, match=r"trainer\.precision=16: allowed are auto, 32-true, bf16-mixed"):
        choose_precision("16", CPU)
