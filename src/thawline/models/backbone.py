"""A timm model as an ordered list of stages; prefix / suffix at every cut."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from thawline.errors import UserError
from thawline.models.expected_input import expected_input
from thawline.models.normalized_images import normalized
from thawline.models.pooling import pool_map, pool_tokens
from thawline.models.stages import Stage, split_into_stages
from thawline.models.tokens import has_class_token, lie_in_order, num_prefix_tokens
from thawline.models.weights import create_model, default_weights


class Backbone(nn.Module):
    """A model without classifier, cut into stages.

    >>> backbone = Backbone("resnet18", weights="none", image_size=64)
    >>> [stage.name for stage in backbone.stages], backbone.num_features
    (['conv1', 'layer1', 'layer2', 'layer3', 'layer4'], 512)
    >>> images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    >>> x = backbone.prefix(backbone.normalize(images), 3)  # activations behind layer2
    >>> backbone.suffix(x, 3).shape
    torch.Size([2, 512])

    Cut k lies before stage k: `prefix(images, k)` runs stages 0 .. k-1, `suffix(x, k)` runs the others, and
    `suffix(prefix(images, k), k)` is bitwise `forward(images)`. Cut 0 is the images, cut `num_stages` the features.
    The stages run on `model`'s own modules; no parameter is copied.

    Args:
        model: A timm model with `num_classes=0`, (B, 3, H, W) -> (B, D), which keeps its weights; or a model's name:
            that model is made in channels-last layout.
        weights: For a name: `embedded`, `hub`, `none`, or the path of a `.safetensors`, `.pth` or `.pt` file.
            None takes the weights of a package on the registry if there is one, else timm's download.
        image_size: Side of the images in pixels; None takes the model's size.
        name: The model's name in messages; None takes timm's name.
        stages: The stages, if they are known; None traces the model.
    Attributes:
        stages: From the images up.
        training_stages: Indices of the stages that train. The others stay in eval mode, also after `train()`.
        batchnorm_trains: Whether BatchNorm in training stages follows `train()`, or stays in eval mode too.
        pretrained: False if the weights are random.
        num_features: D, width of the features that `forward` returns.
        input: Size and statistics of the images that the weights expect.
    Raises:
        UserError: There is no such model, its weights are missing or do not fit, or it cannot be cut.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module | str,
        *,
        weights: str | Path | None = None,
        image_size: int | None = None,
        name: str | None = None,
        stages: tuple[Stage, ...] | None = None,
    ) -> None:
        super().__init__()
        by_name = isinstance(model, str)
        if isinstance(model, str):
            name, source = name or model, default_weights(model) if weights is None else str(weights)
            model = create_model(model, weights=source, image_size=image_size)
        elif weights is not None:
            raise UserError(f"weights={weights}: has no effect beside a model that is there; give its name instead")
        self.name = name or timm_name(model)
        if stages is None and (num_classes := getattr(model, "num_classes", 0)):
            raise UserError(f"{self.name} contains a classifier of {num_classes} classes; make it with num_classes=0")
        self.model = model
        self.pretrained = not by_name or source != "none"
        self.input = expected_input(model, image_size)
        size = (3, self.input.size, self.input.size)
        self.stages: tuple[Stage, ...] = stages or split_into_stages(model, input_size=size)
        self.training_stages = frozenset(range(len(self.stages)))
        self.batchnorm_trains = True
        self.num_features = self.stages[-1].out_shape[0]
        self.register_buffer("mean", torch.tensor(self.input.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.input.std).view(1, 3, 1, 1), persistent=False)
        if by_name:
            self.to(memory_format=torch.channels_last)

    @property
    def num_stages(self) -> int:
        return len(self.stages)

    @property
    def frozen_prefix(self) -> int:
        """Number of leading stages that do not train: the deepest cut whose prefix is constant."""
        return min(self.training_stages, default=self.num_stages)

    def normalize(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), uint8 or floating point in [0, 1] -> the float32, channels-last input of the weights.

        Raises:
            UserError: Another shape, type or range.
        """
        return normalized(images, self.mean, self.std)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) -> features (B, D)."""
        return self.suffix(images, 0)

    def prefix(self, images: Tensor, cut: int) -> Tensor:
        """Run stages 0 .. cut-1 on normalised images (B, 3, H, W); returns (B, *stages[cut-1].out_shape)."""
        return self.between(images, 0, cut)

    def suffix(self, x: Tensor, cut: int) -> Tensor:
        """Run stages cut .. num_stages-1 on the activations at `cut`; returns features (B, D)."""
        return self.between(x, cut, self.num_stages)

    def train(self, mode: bool = True) -> "Backbone":
        """Set train mode on the stages that train; every other module stays in eval mode."""
        super().train(False)
        self.training = mode
        self.model.training = mode
        for index in self.training_stages:
            for name in self.stages[index].modules:
                self.model.get_submodule(name).train(mode)
        if not self.batchnorm_trains:
            for module in self.model.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def holds_batchnorm(self, stages: Iterable[int]) -> bool:
        """Whether any of these stages holds a BatchNorm."""
        called = (self.model.get_submodule(name) for index in stages for name in self.stages[index].modules)
        return any(isinstance(module, _BatchNorm) for part in called for module in part.modules())

    def prefix_tensors(self, cut: int) -> dict[str, Tensor]:
        """The tensors that the activations at `cut` depend on: parameters, buffers of stages 0 .. cut-1, mean, std."""
        tensors: dict[str, Tensor] = {"mean": self.mean, "std": self.std}
        for index, stage in enumerate(self.stages[: self._checked(cut)]):
            tensors |= self.stage_parameters(index)
            for name in stage.modules:
                module = self.model.get_submodule(name)
                tensors |= {f"{name}.{buffer}": tensor for buffer, tensor in module.named_buffers()}
        return tensors

    def between(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Run stages start .. stop-1 on the activations at `start`."""
        for stage in self.stages[self._checked(start) : self._checked(stop)]:
            x = stage.forward(self.model, x)
        return x

    def stage_parameters(self, index: int) -> dict[str, nn.Parameter]:
        """Parameters of stage `index` by qualified name in `model`."""
        return {name: self.model.get_parameter(name) for name in self.stages[index].parameters}

    def _checked(self, cut: int) -> int:
        if not 0 <= cut <= self.num_stages:
            raise UserError(f"cut={cut}: {self.name} has {self.num_stages} stages; allowed are 0..{self.num_stages}")
        return cut

    def pool(self, x: Tensor, *, grid: int = 1) -> Tensor:
        """Activations at any cut -> their averages over the cells of a grid on the image, (B, C * cells), float32.

        Args:
            grid: Cells along each side, at most as many as positions. Tokens without a place in the image (class,
                registers) are left out. `CLASS_TOKEN` takes the class token instead, where `class_token_at` says that
                there is one. Features (B, C) are returned as they are.
        """
        return self.pools(x, [grid])[grid]

    def pools(self, x: Tensor, grids: Sequence[int]) -> dict[int, Tensor]:
        """`pool` at several grids, which share work: grid -> (B, C * cells), float32."""
        if x.ndim == 2:  # (B, C): already pooled
            return dict.fromkeys(grids, x.float())
        if x.ndim == 3:  # (B, N, C): tokens
            prefix, ordered = num_prefix_tokens(self.model, x.shape[1]), lie_in_order(self.model)
            return pool_tokens(x, grids, num_prefix=prefix, ordered=ordered)
        channels_last = str(getattr(self.model, "output_fmt", "NCHW")).endswith("NHWC")
        return pool_map(x.permute(0, 3, 1, 2) if channels_last else x, grids)

    def pooled_width(self, cut: int, *, grid: int) -> int:
        """Width of the output of `pool` for the activations at `cut`."""
        return self.pool(torch.empty(1, *self.stages[cut - 1].out_shape, device="meta"), grid=grid).shape[1]

    def class_token_at(self, cut: int) -> bool:
        """Whether the activations at `cut` hold a class token that depends on the image.

        Behind the first stage it does not yet: it is a learned vector, the same for every image.
        """
        shape = self.stages[cut - 1].out_shape
        return cut > 1 and len(shape) == 2 and has_class_token(self.model, shape[0])


def build_backbone(name: str, *, weights: str, image_size: int | None = None) -> Backbone:
    """`Backbone(name, ...)`: the model with its weights, in channels-last layout, cut into stages."""
    return Backbone(name, weights=weights, image_size=image_size)


def timm_name(model: nn.Module) -> str:
    """The model's name in timm; for a model that is not timm's, the name of its class."""
    config = getattr(model, "pretrained_cfg", None) or {}
    return str(config.get("architecture") or type(model).__name__)
