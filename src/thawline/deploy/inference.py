"""The model of a description: built without a configuration, Lightning, the network, or a training image."""

import importlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from thawline.deploy.description import Architecture, Description, HeadPart
from thawline.errors import UserError
from thawline.features.readout import Readout
from thawline.features.stack import probe_taps
from thawline.machine.precision import Precision, autocast
from thawline.models.backbone import Backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.fused import fuse_where_faster
from thawline.models.stacked_head import StackedHead
from thawline.training.answering import Answering
from thawline.training.beside import StackBeside, pretrained_copy

_OWN_HEADS = "thawline.models.heads"
_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class InferenceModel(Answering):
    """uint8 images (B, 3, S, S) -> logits (B, K) that softmax makes calibrated probabilities.

    Args:
        precision: Number formats; None takes those of the run's test, or float32 where the device has no fast bf16.
        trust: Whether code outside Thawline may make the head.
    """

    temperature: Tensor

    def __init__(
        self, description: Description, tensors: Mapping[str, Tensor], *, precision: Precision, trust: bool = False
    ) -> None:
        super().__init__()
        built = description.architecture
        self.precision = precision
        self.backbone = _backbone(built)
        self.first_training = built.first_training
        self.readout = _readout(self.backbone, built) if built.feature_stages and not built.stack_share else None
        self.head = _head(built, self.backbone, self.readout, num_classes=len(description.class_names), trust=trust)
        self.beside = _beside(self.backbone, built, len(description.class_names), precision)
        self.register_buffer("temperature", torch.tensor(float(description.calibration.temperature)), persistent=False)
        self.prefix = FrozenPrefix(self.backbone, dtype=precision.prefix)
        self._load(tensors)
        self.requires_grad_(False)
        self.eval()

    def _load(self, tensors: Mapping[str, Tensor]) -> None:
        own = self.state_dict()
        wrong = sorted(set(own) ^ set(tensors)) or [n for n in own if own[n].shape != tensors[n].shape]
        if wrong:
            raise UserError(
                f"the weights do not fit the description of the model: {wrong[0]} "
                f"({len(wrong)} of {len(own)} tensors differ); make the model folder again from its run"
            )
        self.load_state_dict(dict(tensors))

    def fuse(self, device: torch.device) -> "InferenceModel":
        """On `device`, with the frozen stages in the form that is fastest there."""
        self.to(device)
        dtype, beside = self.precision.prefix, self.beside
        cut = self.backbone.num_stages if self.readout is not None else self.first_training
        self.prefix.fused = fuse_where_faster(self.backbone, cut, dtype=dtype, device=device) if cut else None
        if beside is not None:
            stages = beside.backbone.num_stages
            beside.prefix.fused = fuse_where_faster(beside.backbone, stages, dtype=dtype, device=device)
        return self

    def answers(self, images: Tensor) -> Tensor:
        """uint8 images (B, 3, S, S) -> log-probabilities (B, K), float32, on the CPU."""
        return self.log_probabilities(images.to(self.temperature.device, non_blocking=True)).cpu()

    @torch.inference_mode()
    def log_probabilities(self, images: Tensor) -> Tensor:
        """uint8 images (B, 3, S, S) -> log-probabilities (B, K), float32, both on the model's device."""
        with autocast(self.precision.training, images.device):
            logits = self(images).float()
        answers: Tensor = (self.temperature * logits).log_softmax(1)
        return answers


def precision_of(built: Architecture) -> Precision:
    """The number formats of the run's test."""
    return Precision(_TYPES[built.prefix_precision], built.precision)


def _backbone(built: Architecture) -> Backbone:
    backbone = Backbone(built.backbone, weights="none", image_size=built.image_size)
    backbone.training_stages = frozenset(range(built.first_training, backbone.num_stages))
    return backbone


def _readout(backbone: Backbone, built: Architecture) -> Readout:
    stages = range(backbone.num_stages) if built.feature_stages is None else built.feature_stages
    return Readout.of(backbone, stages=list(stages), grids=built.feature_grids)


def _head(
    built: Architecture, backbone: Backbone, readout: Readout | None, *, num_classes: int, trust: bool
) -> nn.Module:
    if built.head.target is None:
        assert readout is not None, "a stack reads several stages"
        return StackedHead([readout.columns(taps) for taps in probe_taps(readout.taps)], num_classes)
    num_features = readout.num_features if readout else backbone.num_features
    head: nn.Module = _head_class(built.head, trust=trust)(
        num_features=num_features, num_classes=num_classes, **built.head.arguments
    )
    return head


def _head_class(part: HeadPart, *, trust: bool) -> type[nn.Module]:
    module, _, name = str(part.target).rpartition(".")
    if module != _OWN_HEADS and not trust:
        raise UserError(
            f"the model's head is {part.target}, code outside Thawline; if you know it, load with trust=true (--trust)"
        )
    try:
        kind: type[nn.Module] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"the model's head {part.target} cannot be imported ({error})") from error
    return kind


def _beside(backbone: Backbone, built: Architecture, num_classes: int, precision: Precision) -> StackBeside | None:
    if not built.stack_share:
        return None
    pretrained = pretrained_copy(backbone, shared=built.first_training)
    readout = _readout(pretrained, built)
    head = StackedHead([readout.columns(taps) for taps in probe_taps(readout.taps)], num_classes)
    return StackBeside(pretrained, readout=readout, head=head, share=built.stack_share, dtype=precision.prefix)
