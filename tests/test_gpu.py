"""What only a GPU can show: pytest -m gpu. Skipped where there is none; scripts/evidence/gpu_check.py runs more."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import thawline
from thawline.features.halving import Halving
from thawline.features.in_flight import in_flight
from thawline.machine.number_formats import autocast
from thawline.machine.tf32 import set_tf32, tf32_restored
from thawline.models.backbone import Backbone, build_backbone

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.xdist_group("gpu"),
]
# Relative error of features against fp32 on the CPU, with TF32 off as for 32-true. Unit roundoff is 2^-24 for fp32,
# 2^-11 for fp16 and 2^-9 for bf16; through the layers of a small model it grows by less than this (chosen).
TOLERANCE = {torch.float32: 2e-5, torch.float16: 0.01, torch.bfloat16: 0.05}
TF32_OF = {"32-true": False, "bf16-mixed": True, "16-mixed": True}  # on an Ampere card or a later one
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


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_cached_training_ends_where_training_from_images_ends_and_the_guard_holds(
    run_cli: Run, image_folder: Path, tmp_path: Path, precision: str
) -> None:
    overrides = (f"data.root={image_folder}", f"trainer.precision={precision}")
    cached, a = train(run_cli, tmp_path / "out", *overrides, "cache.enabled=true")
    images, b = train(run_cli, tmp_path / "out", *overrides, "cache.enabled=false")
    assert [cached["cache"]["used"], images["cache"]["used"]] == [True, False]
    for record in (cached, images):
        assert record["machine"]["device"] == torch.cuda.get_device_name()
        assert record["machine"]["precision"] == precision
        assert record["machine"]["accelerator"] == "cuda"
        assert record["machine"]["tf32"] is (TF32_OF[precision] and torch.cuda.get_device_capability() >= (8, 0))
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
    with torch.no_grad(), tf32_restored():
        set_tf32(False)
        exact = backbone(backbone.normalize(images))
        backbone.to("cuda")
        images = images.to("cuda")
        with autocast(dtype, images.device):
            features = backbone(backbone.normalize(images)).float().cpu()
    assert float((features - exact).norm() / exact.norm()) <= TOLERANCE[dtype]


def test_batches_in_flight_come_out_whole_and_in_order() -> None:
    cuda = torch.device("cuda")
    batches = [torch.full((64, 512, 512), float(number)).pin_memory() for number in range(6)]

    def run(batch: torch.Tensor) -> list[torch.Tensor]:
        for _ in range(20):  # long enough that an output that is read too early is not there yet
            batch = batch @ torch.eye(512, device=cuda)
        return [batch + 1]

    outputs = [rows.clone() for (rows,) in in_flight(batches, run, cuda)]
    assert [float(rows.mean()) for rows in outputs] == [1, 2, 3, 4, 5, 6]
    assert all(rows.device.type == "cpu" and float(rows.std()) == 0 for rows in outputs)


def test_a_pass_that_does_not_fit_in_memory_goes_on_in_halves() -> None:
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 200 * 1024**2) / total)
    try:
        run = Halving(lambda part: [part.repeat(1, 64).sum(1)], what="a pass")
        images = torch.ones(64, 256 * 1024, device="cuda")  # 64 MiB; 64 times as much in one part
        (sums,) = run(images)
        assert sums.tolist() == [64.0 * 256 * 1024] * 64
        assert run.limit is not None
        assert run.limit < 64
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


@pytest.mark.parametrize("strategy", ["feature_extraction optim=lbfgs", "stacked_probe"])
def test_a_head_is_solved_for_from_stages_in_fp16(
    run_cli: Run, image_folder: Path, tmp_path: Path, strategy: str
) -> None:
    """A loss scaler would call the solver's step without its closure."""
    name, *more = strategy.split()
    small = [given for given in SMALL[1:] if not given.startswith(("optim", "trainer.max_epochs"))]
    result = run_cli(*small, f"strategy={name}", *more, f"data.root={image_folder}", "trainer.precision=16-mixed")
    assert result.code == 0, result.err
    (path,) = (tmp_path / "out").rglob("run.json")
    machine = json.loads(path.read_text(encoding="utf-8"))["machine"]
    assert (machine["precision"], machine["prefix_precision"]) == ("32-true", "float16")


def test_too_little_memory_is_one_line(run_cli: Run, image_folder: Path) -> None:
    before = torch.cuda.memory_allocated()
    torch.cuda.set_per_process_memory_fraction((before + 2e8) / torch.cuda.get_device_properties(0).total_memory)
    try:
        result = run_cli(
            "data=folder", f"data.root={image_folder}", "model.name=vit_large_patch16_224", "model.weights=none",
            "data.num_workers=0", script="scripts/advise.py",
        )  # fmt: skip
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert result.code == 2
    assert "vit_large_patch16_224" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("strategy", ["stacked_probe", "partial_fine_tune", "blend"])
def test_the_portable_model_answers_as_the_runs_test_did(
    run_cli: Run, image_folder: Path, tmp_path: Path, strategy: str
) -> None:
    small = [given for given in SMALL[1:] if not given.startswith(("optim", "trainer.max_epochs"))]
    result = run_cli(*small, f"strategy={strategy}", f"data.root={image_folder}", "trainer.max_epochs=2")
    assert result.code == 0, result.err
    (path,) = (tmp_path / "out").rglob("run.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    rows = csv.DictReader((path.parent / "splits.csv").open(encoding="utf-8"))
    test = [row for row in rows if row["split"] == "test"]
    model = thawline.load(path.parent)
    assert model.device.type == "cuda"
    answers = model.predict([image_folder / row["path"] for row in test])
    right = sum(answer.label == row["label"] for answer, row in zip(answers, test, strict=True))
    assert right / len(test) == pytest.approx(record["metrics"]["test/accuracy"], abs=1e-6)
