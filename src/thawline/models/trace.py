"""A model's forward as a graph of whole modules, by `torch.fx`."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn

from thawline.errors import UserError, first_line

CONTAINERS = (nn.Sequential, nn.ModuleList)  # traced down to their children; other direct children stay whole
_PROBE_BATCH = 2  # images in the shape probe; with 2 the batch axis differs from an axis of size 1


class _StageTracer(fx.Tracer):
    """Traces the top level of a model only, with every optional argument of `forward` at its default."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return "." in module_qualified_name or not isinstance(m, CONTAINERS)

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        images = self.create_proxy("placeholder", "images", (), {})
        return (lambda root, x: root_fn(root, x)), [self.root, images]


def trace(model: nn.Module) -> fx.Graph:
    """Trace a model (B, C, H, W) -> (B, D) down to its direct children and the children of its containers.

    The model should be in eval mode.

    Raises:
        UserError: The model's forward depends on values that are known only when it runs.
    """
    attributes = set(vars(model))
    try:
        graph = _StageTracer().trace(model)
    except Exception as error:  # fx raises errors of many types
        raise UserError(
            f"the backbone {type(model).__name__} cannot be cut into stages ({first_line(error)}); "
            "choose another model.name, for instance resnet18, convnext_tiny or vit_small_patch16_224"
        ) from error
    finally:
        _adopt_constants(model, set(vars(model)) - attributes)
    _keep_only_what_the_output_needs(graph)
    return graph


def _keep_only_what_the_output_needs(graph: fx.Graph) -> None:
    """Drop nodes such as the assertions that fx leaves for optional arguments."""
    needed: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if node.op in {"output", "placeholder"} or needed.intersection(node.users):
            needed.add(node)
    for node in reversed(graph.nodes):
        if node not in needed:
            graph.erase_node(node)


def _adopt_constants(model: nn.Module, names: Iterable[str]) -> None:
    """Make buffers of tensors that tracing stored in the model (rotary tables), so that they move with it."""
    for name in sorted(names):
        value = getattr(model, name)
        if isinstance(value, Tensor):
            delattr(model, name)
            model.register_buffer(name, value.detach(), persistent=False)


class _ShapeRecorder(fx.Interpreter):
    """Runs a graph and records shapes; see `node_shapes`."""

    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        super().__init__(module, garbage_collect_values=True, graph=graph)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor) and value.ndim >= 2 and value.shape[0] == _PROBE_BATCH:
            self.shapes[n] = tuple(value.shape[1:])
        return value


def node_shapes(
    model: nn.Module, graph: fx.Graph, *, input_size: tuple[int, int, int]
) -> dict[fx.Node, tuple[int, ...]]:
    """Shape per image of every node that yields one tensor with the batch axis in front.

    Args:
        input_size: (C, H, W) of the images.
    Raises:
        UserError: The model does not take images of this size.
    """
    recorder = _ShapeRecorder(model, graph)
    weight = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    try:
        with torch.no_grad():
            recorder.run(torch.zeros(_PROBE_BATCH, *input_size, device=weight.device, dtype=weight.dtype))
    except TypeError as error:  # a traced graph cannot run a forward that changes a list in place
        raise UserError(
            f"the backbone {type(model).__name__} cannot be cut into stages (its forward changes a list in place); "
            "choose another model.name"
        ) from error
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(
            f"model.image_size={input_size[-1]}: {type(model).__name__} cannot take images of this size "
            f"({first_line(error)}); leave it null for the model's own size"
        ) from error
    return recorder.shapes
