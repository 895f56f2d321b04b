"""Bind a freeze plan to the backbone and the head of any module, by the names of their attributes."""

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn

from thawline.errors import UserError
from thawline.freezing.bound_plan import BoundPlan, bind, refuse_without_adapters
from thawline.freezing.plan import HEAD
from thawline.models.backbone import Backbone
from thawline.models.expected_input import expected_input, input_channels
from thawline.models.stages import Stage, split_into_stages, whole_stage
from thawline.settings.strategy_settings import StrategySettings

_WHOLE = "it trains as a whole, unfreeze_depth='all', or not at all, unfreeze_depth=0"
_OTHER_SIZE = "give the module an example_input_array that fits; without one"


def bind_inside(module: nn.Module, strategy: StrategySettings, *, backbone: str, head: str) -> BoundPlan:
    """The plan of the strategy, for two parts of `module`.

    A batch of zeros gives the shapes of the stages. Its size is that of Lightning's `example_input_array` if the module
    has one, else the size that the backbone expects.

    Args:
        backbone: Dotted name of a `Backbone`, or of any model that maps images to features or to logits.
        head: Dotted name of the module that maps features to logits. It may be timm's classifier in the backbone.
    Raises:
        UserError: There is no such part, the head holds the backbone, or the backbone has no stage that the plan names.
    """
    body, top = (_part(module, name, key) for key, name in (("backbone", backbone), ("head", head)))
    if any(part is body for part in top.modules()):
        raise UserError(f"head={head!r} holds the backbone {backbone!r}; name the module behind the backbone")
    inside = any(part is top for part in body.modules())
    if isinstance(body, Backbone):
        if inside:
            raise UserError(f"head={head!r}: lies in the Backbone {backbone!r}, which has none; name another module")
        return _bound(strategy, body, top)
    example = getattr(module, "example_input_array", None)
    size = tuple(example.shape[1:]) if isinstance(example, Tensor) and example.ndim == 4 else _input_size(body)
    return _bound(strategy, _cut(body, strategy, size=size, without=top if inside else None), top)


def _bound(strategy: StrategySettings, backbone: Backbone, head: nn.Module) -> BoundPlan:
    bound = bind(strategy, backbone, head)
    refuse_without_adapters(bound)
    return bound


@contextlib.contextmanager
def in_python(caller: str) -> Iterator[None]:
    """Errors about the plan name the arguments of `caller` instead of config keys."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{caller}: {str(error).replace('strategy.', '')}") from error


def _part(module: nn.Module, name: str, key: str) -> nn.Module:
    try:
        return module.get_submodule(name)
    except AttributeError as error:
        raise UserError(
            f"{key}={name!r}: {type(module).__name__} has no such module when it is set up; "
            f"it has {', '.join(_candidates(module)) or 'none'}; give {key}=NAME"
        ) from error


def _candidates(module: nn.Module) -> Iterator[str]:
    """Child modules with parameters, and the classifiers of timm models."""
    for name, child in module.named_children():
        if _has_parameters(child):
            yield f"{name} ({type(child).__name__})"
            classifier = (getattr(child, "pretrained_cfg", None) or {}).get("classifier")
            if any(inner == classifier and _has_parameters(part) for inner, part in child.named_modules()):
                yield f"{name}.{classifier} (its classifier)"


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _input_size(model: nn.Module) -> tuple[int, ...]:
    size = expected_input(model).size
    return input_channels(model), size, size


def _cut(model: nn.Module, strategy: StrategySettings, *, size: tuple[int, ...], without: nn.Module | None) -> Backbone:
    """The model in stages; in one stage if it cannot be cut and the plan needs no cut."""
    stages: tuple[Stage, ...]
    try:
        stages = split_into_stages(model, input_size=(size[0], size[1], size[2]), without=without)
    except UserError as error:
        if not _whole_or_nothing(strategy):
            line = str(error).partition(";")[0].removeprefix("model.")
            raise UserError(f"{line}; {_OTHER_SIZE + ' ' if 'image_size' in line else ''}{_WHOLE}") from error
        stages = (whole_stage(model, without=without),)
    return Backbone(model, stages=stages)


def _whole_or_nothing(strategy: StrategySettings) -> bool:
    """Whether every phase trains either the whole backbone or none of it."""
    if isinstance(strategy.phases, list):
        lists = [entry.get("stages") for entry in strategy.phases if isinstance(entry, dict)]
        return all(isinstance(names, list) and set(names) <= {HEAD, "all"} for names in lists)
    listed = strategy.stages in ("all", ["all"])
    return not strategy.thaw_every and (listed or (strategy.stages is None and strategy.unfreeze_depth in (0, "all")))
