"""Valid files to begin with: a run's record, a model folder, checkpoints, a store, tables, images."""

import io
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor

from thawline.deploy.description import Architecture, Calibration, Description, HeadPart, Preprocessing, Provenance
from thawline.deploy.portable import write_model
from thawline.features.feature_store import ArraySpec, StoreWriter
from thawline.freezing.bound_plan import bind
from thawline.freezing.certificate import certificate
from thawline.freezing.plan import HEAD
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.digests import checksum, digests
from thawline.report.run_record import RunRecord
from thawline.settings.strategy_settings import StrategySettings

BACKBONE = "test_resnet"  # timm's smallest
SIZE = 32  # pixels
CLASSES = ["good", "bad"]
HEAD_CLASS = "thawline.models.heads.LinearHead"
CONF = Path(__file__).resolve().parents[3] / "conf"


def record_body(folder: Path) -> dict[str, Any]:
    """run.json of a completed run with advice."""
    expected = {"accuracy": 0.8, "low": 0.7, "high": 0.9, "images": 40, "by": "leave-one-out"}
    names = [stage.name for stage in _backbone().stages]
    sections: dict[str, Any] = {
        "data": {"name": "mine", "fingerprint": "abc", "num_train": 40, "num_classes": 2, "value_range": [0.0, 4095.0]},
        "model": {"name": BACKBONE, "weights": "none", "num_stages": len(names), "image_size": SIZE, "head": "linear"},
        "strategy": {"name": "partial_fine_tune", "unfreeze_depth": 1, "parameters": "all", "batchnorm": "train",
                  "phases": [{"from_epoch": 0, "stages": [names[-1], HEAD]}]},
        "params": {"trainable": 100, "total": 1000}, "metrics": {"test/accuracy": 0.5, "val/accuracy": 0.75},
        "curves": {"val/accuracy": [[1, 0.5], [2, 0.75]], "train/loss": [[1, 1.0], [2, None]]},
        "classes": {"names": CLASSES, "confusion": [[8, 2], [1, 9]]},
        "cost": {"fit_s": 10.0, "train_flops": 10**12, "peak_memory_bytes": 2 * 10**9},
        "expected": expected, "freeze": {"verified": True, "checks": 3, "frozen_stages": 7},
        "settings": {"strategy.unfreeze_depth": 1, "optim.lr": 0.001, "model.head._target_": HEAD_CLASS},
        "advice": {"cell": "small_different", "reasons": ["near"], "commands": ["train.py"], "overrides": ["a=1"],
                "recommendation": {"strategy": "feature_extraction", "unfreeze_depth": 0},
                "rungs": [{"name": "stack", "expected": expected, "seconds": 1.0, "kept": True}]},
        "machine": {"device": "cpu", "cores": 2, "thread_choices": [[0, 1]]}, "versions": {"torch": "2"},
    }  # fmt: skip
    record = RunRecord("one", "auto", 0, status="completed", best_epoch=2, **sections)
    folder.mkdir(parents=True, exist_ok=True)
    body: dict[str, Any] = json.loads(record.save(folder).read_text())
    return body


def model_folder(folder: Path) -> Path:
    """A model of a linear head on a random backbone."""
    backbone = _backbone()
    tensors: dict[str, Tensor] = {f"backbone.{name}": tensor for name, tensor in backbone.state_dict().items()}
    tensors |= {"head.weight": torch.zeros(2, backbone.num_features), "head.bias": torch.zeros(2)}
    description = Description(
        CLASSES,
        Architecture(BACKBONE, SIZE, 1, HeadPart(HEAD_CLASS, {}), None, [1], 0.0, "float32",
                     "32-true"),
        Preprocessing(SIZE, "crop", "bicubic", 0.9, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0.0, 255.0], None),
        Calibration(1.5, 20, "validation", 0.9, 0.1, [0.1, 0.2]),
        Provenance("one", "auto", "fine_tune", "none", "0", "MIT", "mine", "abc", 40, {"test/accuracy": 0.5}, {}),
    )  # fmt: skip
    write_model(folder, description, tensors)
    return folder


def _backbone() -> Backbone:
    torch.manual_seed(0)
    return build_backbone(BACKBONE, weights="none", image_size=SIZE)


def checkpoint(tensors: dict[str, Tensor] | None = None) -> bytes:
    """A checkpoint of plain tensors."""
    file = io.BytesIO()
    state = OrderedDict(tensors or {"head.weight": torch.ones(2, 3), "head.bias": torch.zeros(2)})
    torch.save({"state_dict": state, "global_step": 3, "epoch": 1, "optimizer_states": [{"step": 1}]}, file)
    return file.getvalue()


def certified() -> tuple[dict[str, Any], bytes]:
    """freeze.json of a run that trained its head alone, and its checkpoint."""
    backbone = _backbone()
    model = {"name": BACKBONE, "weights": "none", "image_size": SIZE}
    settings = StrategySettings("verify", phases=[{"from_epoch": 0, "stages": [HEAD]}])
    bound = bind(settings, backbone, torch.nn.Linear(1, 1))
    sums = digests(bound.tensors())
    about = {"seed": 0, "model": {**model, "weights_sha256": checksum(backbone.model.state_dict())}}
    proof = certificate(bound, before=sums, after=sums, tested=sums, num_epochs=1)
    return {**about, **proof}, checkpoint(bound.tensors())


def config_body() -> tuple[dict[str, Any], bytes]:
    """The config of a run as JSON and as YAML."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["data=folder", "data.root=/images", "output_dir=out", "scenario=small_similar"])
    cfg.cache.dir = "cache"
    body = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(body, dict)
    return {str(key): value for key, value in body.items()}, OmegaConf.to_yaml(cfg, resolve=True).encode()


def store(folder: Path, about: dict[str, Any]) -> None:
    """A store of five rows."""
    writer = StoreWriter(folder, ArraySpec((3,), "float32"), about=about)
    writer.append(torch.arange(15.0).view(5, 3))
    writer.close()


def images() -> list[bytes]:
    """One small image in each format and kind of samples."""
    noise = np.random.default_rng(0).integers(0, 255, (9, 8, 3)).astype(np.uint8)
    wide = (noise[..., 0].astype(np.uint16) * 200).copy()
    picture, made = Image.fromarray(noise), []
    exif = Image.Exif()
    exif[274] = 6
    made += [_saved(picture, kind) for kind in ("PNG", "GIF", "WEBP", "BMP", "PPM")]
    made += [_saved(picture, kind, exif=exif) for kind in ("JPEG", "TIFF")]
    made.append(_saved(picture, "TIFF", compression="tiff_lzw"))
    made += [_saved(Image.fromarray(wide), "PNG"), _saved(Image.fromarray(wide), "TIFF")]
    frames = [picture.rotate(90 * turn) for turn in range(3)]
    made.append(_saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    return made


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
