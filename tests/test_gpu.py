"""What only a GPU can show: pytest -m gpu. Skipped where there is none; scripts/evidence/gpu_check.py runs more."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from thawline.machine.precision import autocast
from thawline.models.backbone import Backbone, build_backbone

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.xdist_group("gpu"),
]
# Relative error of features against fp32 on the CPU. Unit roundoff is 2^-11 for TF32, in which cuDNN convolves fp32,
# and 2^-9 for bf16; through the layers of a small model it grows by less than this (chosen).
TOLERANCE = {torch.float32: 0.005, torch.bfloat16: 0.05}
# SGD and its rates: AdamW would make whole steps of the rounding of gradients near zero.
SMALL = (
    "strategy=partial_fine_tune", "model.name=test_resnet", "model.weights=none", "model.image_size=32",
    "data.batch_size=8", "data.num_workers=0", "data.augment=none", "trainer.max_epochs=2", "optim=sgd",
    "optim.lr=0.01", "optim.backbone_lr=0.001", "data=folder",
)  # fmt: skip
Run = Callable[..., Any]


def train(run_cli: Run, out: Path, *more: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """(run.json, last weights) of the newest run below `out`."""
    result = run_cli(*SMALL, *more)
    assert result.code == 0, result.err
    folder = sorted((out / "small_different").iterdir())[-1]
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True, map_location="cpu")["state_dict"]
    return json.loads((folder / "run.json").read_text(encoding="utf-8")), state


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_cached_training_ends_where_training_from_images_ends_and_the_guard_holds(
    run_cli: Run, image_folder: Path, tmp_path: Path, precision: str
) -> None:
    told = (f"data.root={image_folder}", f"trainer.precision={precision}")
    cached, a = train(run_cli, tmp_path / "out", *told, "cache.enabled=true")
    images, b = train(run_cli, tmp_path / "out", *told, "cache.enabled=false")
    assert [cached["cache"]["used"], images["cache"]["used"]] == [True, False]
    for record in (cached, images):
        assert record["machine"]["device"] == torch.cuda.get_device_name()
        assert record["machine"]["precision"] == precision
        assert record["freeze"]["verified"] is True
        assert record["cost"]["peak_memory_bytes"] > 0
    weights = [name for name in b if b[name].is_floating_point()]
    apart, size = (sum(float(t.double().square().sum()) for t in some) ** 0.5 for some in
                   ([a[n] - b[n] for n in weights], [b[n] for n in weights]))  # fmt: skip
    assert apart <= 1e-3 * size  # training moves them by about a hundredth


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
def test_features_on_the_gpu_are_those_of_the_cpu(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    backbone: Backbone = build_backbone("test_resnet", weights="none", image_size=32).eval()
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        exact = backbone(backbone.normalize(images))
        backbone.to("cuda")
        images = images.to("cuda")
        with autocast(dtype, images.device):
            found = backbone(backbone.normalize(images)).float().cpu()
    assert float((found - exact).norm() / exact.norm()) <= TOLERANCE[dtype]
