"""The model of a description: built without a configuration, Lightning, the network, or a training image."""

import importlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from thawline.deploy.description import Architecture, Description, HeadPart
from thawline.errors import UserError
from thawline.features.extract import Tap
from thawline.features.readout import Readout
from thawline.features.stack import probe_taps
from thawline.features.unknown import KnownClasses, share_nearer
from thawline.machine.number_formats import Precision, autocast, precision_name
from thawline.models.backbone import Backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.fused import fuse_where_faster
from thawline.models.stacked_head import StackedHead
from thawline.training.answering import Answering
from thawline.training.beside import StackBeside, pretrained_copy

_HEADS_MODULE = "thawline.models.heads"
DISTANCE_TENSORS = ("centre", "projection", "means", "quantiles")  # `unknown.NAME` in the weights' file


class Distances(nn.Module):
    """Features (B, D) -> share of images of known classes that lie nearer to a class, (B,)."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name in DISTANCE_TENSORS:
            self.register_buffer(name, torch.empty_like(tensors[f"unknown.{name}"]))

    def forward(self, features: Tensor) -> Tensor:
        known = KnownClasses(*(self.get_buffer(name) for name in DISTANCE_TENSORS[:3]))
        return share_nearer(known.distances(features.float()), self.get_buffer(DISTANCE_TENSORS[3]))


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
        most = sum(tensor.numel() for tensor in tensors.values())
        num_classes = len(description.class_names)
        self.head = _head(built, self.backbone, self.readout, num_classes=num_classes, most=most, trust=trust)
        self.beside = _beside(self.backbone, built, len(description.class_names), precision)
        self.register_buffer("temperature", torch.tensor(float(description.calibration.temperature)), persistent=False)
        self.tap = None if description.unknown is None else Tap(description.unknown.cut, description.unknown.grid)
        self.unknown = None if self.tap is None else Distances(tensors)
        self.prefix = FrozenPrefix(self.backbone, dtype=precision.prefix)
        self._load(tensors)
        self.requires_grad_(False)
        self.eval()

    def _load(self, tensors: Mapping[str, Tensor]) -> None:
        expected = self.state_dict()
        if self.unknown is None:
            tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("unknown.")}
        wrong = sorted(set(expected) ^ set(tensors)) or [n for n in expected if expected[n].shape != tensors[n].shape]
        if wrong:
            raise UserError(
                f"the weights do not fit the description of the model: {wrong[0]} "
                f"({len(wrong)} of {len(expected)} tensors differ); make the model folder again from its run"
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

    def answers(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """uint8 images (B, 3, S, S) -> log-probabilities (B, K) and unknown scores (B,), float32, on the CPU.

        The unknown score is the share of images of known classes that lie nearer to a class; None where it is not
        known how far they lie.
        """
        logs, *scores = (rows.cpu() for rows in self.scored(images.to(self.temperature.device, non_blocking=True)))
        return logs, scores[0] if scores else None

    def log_probabilities(self, images: Tensor) -> Tensor:
        """The first of `answers`."""
        return self.answers(images)[0]

    @torch.inference_mode()
    def scored(self, images: Tensor) -> list[Tensor]:
        """`answers` of images on the model's device, where they stay; without unknown scores only the first."""
        with autocast(self.precision.training, images.device):
            logits, features = self.with_features(images)
        logs = (self.temperature * logits.float()).log_softmax(1)
        return [logs] if self.unknown is None or features is None else [logs, self.unknown(features)]

    def with_features(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits (B, K) as `forward` gives them, and what distances are measured on, (B, D) or None."""
        tap = self.tap
        if tap is None:
            return self(images), None
        if self.readout is not None:
            read = self.readout(self.prefix, images)
            return self.classify(read), self.readout.split(read)[tap]
        if self.beside is not None:
            rows, read = self.beside.features(images, cut=self.first_training)
            logits = self.logits(rows, start=self.first_training)
            return self.beside.average(logits, self.beside.head(read)), self.beside.readout.split(read)[tap]
        x = self.until(self.prefix.normalize(images), start=0, stop=tap.cut)
        return self.logits(x, start=tap.cut), self.backbone.pool(x, grid=tap.grid or 1)


def precision_of(built: Architecture) -> Precision:
    """The number formats of the run's test."""
    return Precision(built.precision, stages=precision_name(built.prefix_precision))


def _backbone(built: Architecture) -> Backbone:
    backbone = Backbone(built.backbone, weights="none", image_size=built.image_size)
    backbone.training_stages = frozenset(range(built.first_training, backbone.num_stages))
    return backbone


def _readout(backbone: Backbone, built: Architecture) -> Readout:
    stages = range(backbone.num_stages) if built.feature_stages is None else built.feature_stages
    return Readout.of(backbone, stages=list(stages), grids=built.feature_grids)


def _head(
    built: Architecture, backbone: Backbone, readout: Readout | None, *, num_classes: int, most: int, trust: bool
) -> nn.Module:
    """The head; `most` numbers are in the weights' file, and a head of more is not begun to be made."""
    if built.head.target is None:
        assert readout is not None, "a stack reads several stages"
        return StackedHead([readout.columns(taps) for taps in probe_taps(readout.taps)], num_classes)
    num_features = readout.num_features if readout else backbone.num_features
    kind = _head_class(built.head, trust=trust)
    arguments = {"num_features": num_features, "num_classes": num_classes, **built.head.arguments}
    if not trust:
        with torch.device("meta"):  # takes no memory
            numbers = sum(p.numel() for p in kind(**arguments).parameters())
        if numbers > most:
            raise UserError(f"the head would hold {numbers:,} numbers, the weights' file holds {most:,}")
    head: nn.Module = kind(**arguments)
    return head


def _head_class(part: HeadPart, *, trust: bool) -> type[nn.Module]:
    module, _, name = str(part.target).rpartition(".")
    if module != _HEADS_MODULE and not trust:
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
