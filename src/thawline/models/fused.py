"""A fast form of a frozen prefix for a CPU, in bf16: BatchNorm and activation become part of the convolution before.

Measured with EfficientNet-Lite0 at 224 on 2 AVX512-bf16 cores, forward only: 200 images/s with the modules as they are,
303 in this form, 296 after inductor has compiled them for 9 to 25 s (docs/speed.md).
"""

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from thawline.machine.decisions import fuses_convolutions
from thawline.machine.number_formats import autocast
from thawline.models.backbone import Backbone
from thawline.models.fused_convolution import ACTIVATIONS, NO_STEP, FusedConvolution, Step

_CONVOLUTIONS = (nn.Conv2d, Conv2dSame)  # exactly these: a subclass may change its weights in forward
_NORMS = (nn.BatchNorm2d, BatchNormAct2d)
# Chosen: fp32 rounds by about 1e-6; if some other module reads a tensor inside a chain, the error is far larger.
_LARGEST_ERROR = 1e-3  # of the fused form in fp32, relative to the norm of the activations


class FusedPrefix:
    """Stages 0 .. cut-1 without gradients, in bf16, for stages that never train.

    Fused convolutions have copies of the weights; all other modules share the backbone's parameters.
    """

    def __init__(self, backbone: Backbone, cut: int, model: nn.Module) -> None:
        self.backbone = backbone
        self.cut = cut
        self.model = model

    def normalize(self, images: Tensor) -> Tensor:
        """`Backbone.normalize` in one pass: images (B, 3, H, W), uint8, or floating point in [0, 1], to bf16."""
        if images.dtype != torch.uint8:
            return self.backbone.normalize(images).to(torch.bfloat16)
        mean, std = self.backbone.mean.flatten() * 255.0, self.backbone.std.flatten() * 255.0
        pixels = images.to(torch.bfloat16, memory_format=torch.channels_last)  # exact: bf16 holds integers up to 256
        return F.batch_norm(pixels, mean, std.square(), eps=0.0)

    def between(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Run stages start .. stop-1; returns bf16."""
        assert stop <= self.cut, (stop, self.cut)
        with torch.no_grad(), autocast(torch.bfloat16, x.device):
            for stage in self.backbone.stages[start:stop]:
                x = stage.forward(self.model, x)
        return x


def fuse(backbone: Backbone, cut: int) -> FusedPrefix | None:
    """The fused form of stages 0 .. cut-1; None if there is nothing to fuse, or if it would change the result."""
    was_training = backbone.training
    backbone.eval()
    try:
        chains = _chains(backbone, cut)
        if not chains:
            return None
        if not _is_faithful(_with_fused(backbone.model, chains, dtype=torch.float32), backbone, cut):
            return None
        return FusedPrefix(backbone, cut, _with_fused(backbone.model, chains, dtype=torch.bfloat16))
    except (RuntimeError, AttributeError):  # a torch without oneDNN, or without this operation
        return None
    finally:
        backbone.train(was_training)


def fuse_where_faster(backbone: Backbone, cut: int, *, dtype: torch.dtype, device: torch.device) -> FusedPrefix | None:
    """`fuse` where the device is faster with it (`fuses_convolutions`), else None."""
    return fuse(backbone, cut) if fuses_convolutions(dtype, device.type) else None


@dataclass(frozen=True)
class _Chain:
    """Names of a convolution, of the BatchNorm on its output, and of the activation after it if there is one."""

    convolution: str
    norm: str
    activation: str | None
    step: Step


def _chains(backbone: Backbone, cut: int) -> list[_Chain]:
    """The chains that one image passes through: the output of a module is the same object as the next one's input.

    Whether another module reads that tensor too is not known here; `_is_faithful` checks it.
    """
    calls: list[_Call] = []
    handles = []
    for name, module in backbone.model.named_modules():
        if type(module) in (*_CONVOLUTIONS, *_NORMS, *ACTIVATIONS):
            handles += _record(name, module, calls)
    try:
        with torch.no_grad():
            backbone.prefix(backbone.normalize(_noise(backbone, 1)), cut)
    finally:
        for handle in handles:
            handle.remove()
    return list(_linked(calls))


@dataclass
class _Call:
    """Input and output of a module's call, as `_identity` gives them.

    The tensors are kept, so that no two have the same id.
    """

    name: str
    module: nn.Module
    tensors: list[Tensor]
    input: tuple[int, int]
    output: tuple[int, int] = (0, 0)


def _record(name: str, module: nn.Module, calls: list[_Call]) -> list[RemovableHandle]:
    def before(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        calls.append(_Call(name, module, [inputs[0]], _identity(inputs[0])))

    def after(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        call = next(call for call in reversed(calls) if call.name == name)
        call.tensors.append(output)
        call.output = _identity(output)

    return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]


def _identity(tensor: Tensor) -> tuple[int, int]:
    """The tensor's id and the number of changes in place: equal only for the same values of the same tensor."""
    return id(tensor), tensor._version


def _linked(calls: list[_Call]) -> Iterator[_Chain]:
    once = {name for name, count in Counter(call.name for call in calls).items() if count == 1}
    calls = [call for call in calls if call.name in once]
    convolution_of = {call.output: call for call in calls if type(call.module) in _CONVOLUTIONS}
    activation_of = {call.input: call for call in calls if type(call.module) in set(ACTIVATIONS) - {nn.Identity}}
    for call in calls:
        norm, source = call.module, convolution_of.get(call.input)
        if type(norm) not in _NORMS or norm.running_mean is None or source is None:
            continue
        assert isinstance(source.module, nn.Conv2d)
        if source.module.padding_mode != "zeros" or isinstance(source.module.padding, str):
            continue
        follower = activation_of.get(call.output)
        if isinstance(norm, BatchNormAct2d):  # has its activation inside
            yield _Chain(source.name, call.name, None, ACTIVATIONS.get(type(norm.act), NO_STEP))
        elif follower is not None:
            yield _Chain(source.name, call.name, follower.name, ACTIVATIONS[type(follower.module)])
        else:
            yield _Chain(source.name, call.name, None, NO_STEP)


def _with_fused(model: nn.Module, chains: list[_Chain], *, dtype: torch.dtype) -> nn.Module:
    """A copy of the model's modules, not of its tensors, with each chain in one module."""
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    fused = copy.deepcopy(model, shared)
    for chain in chains:
        convolution, norm = model.get_submodule(chain.convolution), model.get_submodule(chain.norm)
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        unknown = isinstance(norm, BatchNormAct2d) and type(norm.act) not in ACTIVATIONS
        _replace(fused, chain.convolution, FusedConvolution(convolution, norm, chain.step, dtype=dtype))
        _replace(fused, chain.norm, norm.get_submodule("act") if unknown else nn.Identity())
        if chain.activation is not None:
            _replace(fused, chain.activation, nn.Identity())
    return fused.eval()


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _is_faithful(fused: nn.Module, backbone: Backbone, cut: int) -> bool:
    """Whether the fused copy, in fp32, computes the same as the backbone."""
    with torch.no_grad():
        x = backbone.normalize(_noise(backbone, 2))
        exact = backbone.prefix(x, cut)
        for stage in backbone.stages[:cut]:
            x = stage.forward(fused, x)
    return bool((x - exact).norm() <= _LARGEST_ERROR * exact.norm())


def _noise(backbone: Backbone, num_images: int) -> Tensor:
    size = backbone.input.size
    return torch.randint(0, 256, (num_images, 3, size, size), dtype=torch.uint8, generator=torch.Generator())
