"""Number formats by name."""

import pytest
import torch

from thawline.machine.number_formats import Precision, autocast, precision_name

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16), ("16-mixed", torch.float16)]
)
def test_frozen_stages_and_training_compute_in_one_type(name: str, dtype: torch.dtype) -> None:
    precision = Precision(name)
    assert precision.training == precision.prefix == dtype
    assert precision_name(str(dtype).removeprefix("torch.")) == name
    with autocast(dtype, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_a_solver_has_no_gradients_to_scale() -> None:
    solving = Precision("16-mixed").without_scaler()
    assert (solving.trainer, solving.prefix, solving.scales_loss) == ("32-true", torch.float16, False)
    assert Precision("bf16-mixed").without_scaler() == Precision("bf16-mixed")
