"""The baseline: transfer learning as the documentation of Lightning, timm and torchvision shows it, without tricks."""

from pathlib import Path

import lightning as L
import torch
import torch.nn.functional as F
from timm.data.config import resolve_model_data_config
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from thawline.models.weights import create_model  # for the weights alone; the model is timm's

MODEL = "tf_efficientnet_lite0"
# The modules of this model that train together; Thawline's stages, so that both sides train the same.
STAGES = (
    ("conv_stem", "bn1"), ("blocks.0",), ("blocks.1",), ("blocks.2",), ("blocks.3",), ("blocks.4",), ("blocks.5",),
    ("blocks.6",), ("conv_head", "bn2"),
)  # fmt: skip
Batch = tuple[Tensor, Tensor]  # normalised images (B, 3, S, S), class indices (B,)
Loader = DataLoader[Batch]


class PlainClassifier(L.LightningModule):
    """A timm model as a feature extractor, the last `depth` stages of which train, with a linear classifier on top."""

    def __init__(self, *, num_classes: int, depth: int, head_lr: float, backbone_lr: float) -> None:
        super().__init__()
        self.head_lr, self.backbone_lr = head_lr, backbone_lr
        self.backbone = create_model(MODEL, weights="embedded")
        num_features = self.backbone.num_features
        assert isinstance(num_features, int)
        self.classifier = nn.Linear(num_features, num_classes)
        self.frozen = depth == 0
        self.backbone.requires_grad_(False).eval()
        for name in (name for stage in STAGES[len(STAGES) - depth :] for name in stage):
            self.backbone.get_submodule(name).requires_grad_(True).train()

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, S, S) -> logits (B, K)."""
        if self.frozen:
            with torch.no_grad():
                features = self.backbone(images)
        else:
            features = self.backbone(images)
        logits: Tensor = self.classifier(features)
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels = batch
        loss = F.cross_entropy(self(images), labels)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images, labels = batch
        logits = self(images)
        self.log("val_loss", F.cross_entropy(logits, labels))
        self.log("val_accuracy", (logits.argmax(dim=1) == labels).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        backbone = [p for p in self.backbone.parameters() if p.requires_grad]
        groups = [{"params": list(self.classifier.parameters()), "lr": self.head_lr}]
        return torch.optim.AdamW([*groups, *([{"params": backbone, "lr": self.backbone_lr}] if backbone else [])])


def loaders(root: Path, model: PlainClassifier, *, size: int, num_workers: int) -> tuple[Loader, Loader]:
    """Batches of 32 from `root`/train, shuffled, and from `root`/val."""
    config = resolve_model_data_config(model.backbone)  # type: ignore[no-untyped-call]
    transform = transforms.Compose(
        [
            transforms.Resize(int(size / config["crop_pct"]), transforms.InterpolationMode(config["interpolation"])),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(config["mean"], config["std"]),
        ]
    )
    train, val = (ImageFolder(str(root / split), transform) for split in ("train", "val"))
    return (
        # The incomplete last batch is dropped because Thawline drops it: both take the same number of steps.
        DataLoader(train, batch_size=32, shuffle=True, num_workers=num_workers, drop_last=True),
        DataLoader(val, batch_size=32, num_workers=num_workers),
    )
