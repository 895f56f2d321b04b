"""A timm model as an ordered list of stages, each a function on the live model.

A node of the traced model (see `trace.py`) whose output is the only live value is a legal cut. Stages call the model's
modules, so train / eval mode, dropout and stochastic depth inside them keep working.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, fx, nn

from thawline.models.set_aside import set_aside
from thawline.models.trace import CONTAINERS, node_shapes, trace


@dataclass(frozen=True)
class Stage:
    """One step of the depth axis.

    Attributes:
        name: The part of the model at which the stage starts, such as `layer1` or `blocks.3`.
        forward: `(model, activations) -> activations`; calls the live model's modules.
        modules: Qualified names of the modules that it calls.
        parameters: Qualified names of the parameters that it reads; each belongs to one stage only.
        out_shape: Shape of its output for one image, without the batch axis.
    """

    name: str
    forward: Callable[[nn.Module, Tensor], Tensor]
    modules: tuple[str, ...]
    parameters: tuple[str, ...]
    out_shape: tuple[int, ...]


def split_into_stages(
    model: nn.Module, *, input_size: tuple[int, int, int], without: nn.Module | None = None
) -> tuple[Stage, ...]:
    """Split a model that maps images (B, C, H, W) to features (B, D) into stages, in order.

    A stage is the longest run of nodes of one part of the model between two legal cuts. A part is a block container
    such as `layer1`, or a child of the container if there is only one. A run without a weight of two or more dimensions
    (normalisation, activation, pooling) joins the run before it.

    Args:
        input_size: (C, H, W) of the images.
        without: A part of the model that belongs to no stage: a classifier that is the head.
    Raises:
        UserError: The model cannot be traced.
    """
    was_training = model.training
    model.eval()  # in train mode some models have auxiliary heads at the top level, which must not be traced
    try:
        with set_aside(model, without):
            graph = trace(model)
            nodes = list(graph.nodes)
            shapes = node_shapes(model, graph, input_size=input_size)
            cuts = _legal_cuts(nodes, shapes)
            cuts = _whole_parts_only(cuts, nodes, model)
            runs = _merge_weightless(list(_runs(nodes, cuts)), model)
            return tuple(_make_stage(run, nodes, model, shapes) for run in runs)
    finally:
        model.train(was_training)


def whole_stage(model: nn.Module, *, without: nn.Module | None = None) -> Stage:
    """A model that cannot be cut, as one stage. Its `out_shape` is the model's `num_features`, or 0."""
    with set_aside(model, without):
        names = tuple(name for name, _ in model.named_children())
        parameters = tuple(name for name, _ in model.named_parameters())
    return Stage("whole", lambda live, x: live(x), names, parameters, (int(getattr(model, "num_features", 0)),))


def _legal_cuts(nodes: Sequence[fx.Node], shapes: dict[fx.Node, tuple[int, ...]]) -> list[int]:
    """Indices i for which node i's output is the only live value after it. Parameters do not count."""
    position = {node: i for i, node in enumerate(nodes)}
    last_use = [max((position[user] for user in node.users), default=i) for i, node in enumerate(nodes)]
    cuts = []
    for i, node in enumerate(nodes[:-1]):
        alive = [j for j in range(i + 1) if last_use[j] > i and nodes[j].op != "get_attr"]
        if alive == [i] and node in shapes and node.op != "placeholder":
            cuts.append(i)
    return cuts


def _whole_parts_only(cuts: Sequence[int], nodes: Sequence[fx.Node], model: nn.Module) -> list[int]:
    """The cuts that divide no part of the model, no shared module and no shared parameter."""
    part_of = _part_namer(model)
    span: dict[str, tuple[int, int]] = {}
    for i, node in enumerate(nodes):
        for key in _parts_read(node, model, part_of):
            span[key] = (span.get(key, (i, i))[0], i)
    return [cut for cut in cuts if not any(first <= cut < last for first, last in span.values())]


def _parts_read(node: fx.Node, model: nn.Module, part_of: Callable[[str], str]) -> Iterable[str]:
    if node.op == "call_module":
        yield part_of(str(node.target))
        yield from _parameter_names(node, model)
    elif node.op == "get_attr":
        # A parameter read at the top level is used where its users are.
        yield from _parameter_names(node, model)
    else:
        for source in node.all_input_nodes:
            if source.op == "get_attr":
                yield from _parameter_names(source, model)


def _part_namer(model: nn.Module) -> Callable[[str], str]:
    """Map a module's name to the part of the model that it belongs to.

    Numbered containers side by side (`layer1` ... `layer4`) are one part each; in a single container
    (`blocks`, `stages`) every child is a part.
    """
    containers = [name for name, child in model.named_children() if isinstance(child, CONTAINERS)]
    stems = [re.sub(r"\d+$", "", name) for name in containers]
    numbered = {n for n, stem in zip(containers, stems, strict=True) if n != stem and stems.count(stem) > 1}
    return lambda name: name.split(".")[0] if name.split(".")[0] in numbered else name


def _parameter_names(node: fx.Node, model: nn.Module) -> list[str]:
    target = str(node.target)
    if node.op == "call_module":
        return [f"{target}.{name}" for name, _ in model.get_submodule(target).named_parameters()]
    if node.op == "get_attr" and target in dict(model.named_parameters(recurse="." in target)):
        return [target]
    return []


def _runs(nodes: Sequence[fx.Node], cuts: Sequence[int]) -> Iterable[list[fx.Node]]:
    """The computing nodes between consecutive cuts; the last cut is the output."""
    start = 0
    for cut in [*cuts, len(nodes) - 1]:
        run = [n for n in nodes[start : cut + 1] if n.op not in {"placeholder", "output", "get_attr"}]
        if run:
            yield run
        start = cut + 1


def _merge_weightless(runs: list[list[fx.Node]], model: nn.Module) -> list[list[fx.Node]]:
    merged: list[list[fx.Node]] = []
    for run in runs:
        if merged and not (_has_weight(run, model) and _has_weight(merged[-1], model)):
            merged[-1] = merged[-1] + run
        else:
            merged.append(run)
    return merged


def _has_weight(run: Sequence[fx.Node], model: nn.Module) -> bool:
    modules = (model.get_submodule(str(n.target)) for n in run if n.op == "call_module")
    return any(p.ndim >= 2 for module in modules for p in module.parameters())


def _make_stage(
    run: Sequence[fx.Node], nodes: Sequence[fx.Node], model: nn.Module, shapes: dict[fx.Node, tuple[int, ...]]
) -> Stage:
    inside = set(run)
    reads = {source for node in run for source in node.all_input_nodes if source not in inside}
    entries = [node for node in nodes if node in reads and node.op != "get_attr"]
    assert len(entries) == 1, f"stage at {run[0]} reads {len(entries)} values; a legal cut leaves one"
    called = [n for n in run if n.op == "call_module"]
    attributes = [n for n in nodes if n in reads and n.op == "get_attr"]
    parameters = dict.fromkeys(name for n in [*attributes, *called] for name in _parameter_names(n, model))
    weighted = [n for n in called if any(p.ndim >= 2 for p in model.get_submodule(str(n.target)).parameters())]
    return Stage(
        name=_unreserved(_part_namer(model)(str((weighted or called)[0].target))),
        forward=_compile(run, entries[0]),
        modules=tuple(dict.fromkeys(str(n.target) for n in called)),
        parameters=tuple(parameters),
        out_shape=shapes[run[-1]],
    )


def _unreserved(name: str) -> str:
    """Another name for layers called `head` or `all`: `head` means the module after the backbone, `all` every stage."""
    return f"backbone.{name}" if name in ("head", "all") else name


def _compile(run: Sequence[fx.Node], entry: fx.Node) -> Callable[[nn.Module, Tensor], Tensor]:
    """A Python function for one run of nodes, on the live model: no module or parameter is copied."""
    graph = fx.Graph()
    copies = {entry: graph.placeholder("x")}

    def copied(node: fx.Node) -> fx.Node:
        if node not in copies:  # a parameter, which every stage that uses it reads anew
            copies[node] = graph.node_copy(node, copied)
        return copies[node]

    for node in run:
        copied(node)
    graph.output(copies[run[-1]])
    code = graph.python_code("self")
    namespace = dict(code.globals)
    exec(code.src, namespace)  # code that fx wrote for the graph above
    forward: Callable[[nn.Module, Tensor], Tensor] = namespace["forward"]
    return forward
