"""Write a graph as an ONNX file, and run one with ONNX Runtime."""

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from thawline.deploy.export_graph import ExportGraph
from thawline.deploy.export_metadata import GRAPH_INPUT, GRAPH_OUTPUT
from thawline.errors import UserError

ONNX_FILE = "model.onnx"
LEAST_OPSET, DEFAULT_OPSET, LARGEST_OPSET = 18, 20, 23  # which torch's exporter writes; 20 is its default
Runner = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # images (N, S, S, 3) -> probabilities (N, K)
_EXAMPLE = 2  # images of the example; with 1 the batch would become a constant
_EXAMPLE_SIDES = (160, 208)  # height and width of an example of any size; no two axes are equal
_LARGEST_FILE = 1 << 31  # bytes of a protobuf message


def require(*modules: str, extra: str) -> list[Any]:
    """Import the packages of an extra.

    Raises:
        UserError: One is not installed.
    """
    try:
        return [importlib.import_module(name) for name in modules]
    except ImportError as error:
        raise UserError(f'--format {extra} takes packages ({error}): run pip install "thawline[{extra}]"') from error


def checked_opset(opset: int) -> int:
    """Raises `UserError` unless the exporter and the installed onnx write it."""
    (onnx,) = require("onnx", extra="onnx")
    largest = min(LARGEST_OPSET, onnx.defs.onnx_opset_version())
    if not LEAST_OPSET <= opset <= largest:
        raise UserError(f"--opset {opset}: allowed are {LEAST_OPSET} to {largest} with onnx {onnx.__version__}")
    return opset


def write_onnx(graph: ExportGraph, path: Path, *, about: Mapping[str, str], opset: int = DEFAULT_OPSET) -> None:
    """Write `graph` with a batch of any size, and `about` as its metadata.

    Raises:
        UserError: A package is missing, or a part of the model cannot be exported.
    """
    require("onnx", "onnxscript", extra="onnx")
    program = _exported(graph.eval(), checked_opset(opset))
    for key, text in about.items():
        program.model.metadata_props[key] = text
    size = sum(tensor.nbytes for tensor in graph.state_dict().values())
    program.save(str(path), external_data=size >= _LARGEST_FILE)


def _exported(graph: ExportGraph, opset: int) -> Any:
    size, anywhere = graph.net.backbone.input.size, graph.resize is not None
    sides = _EXAMPLE_SIDES if anywhere else (size, size)
    names = ("batch", "height", "width") if anywhere else ("batch",)
    named = dict(enumerate(names))
    axes = {axis: torch.export.Dim(name) for axis, name in named.items()}
    example = torch.zeros(_EXAMPLE, *sides, 3, dtype=torch.uint8)
    try:
        with _silence(), torch.no_grad():
            # In two steps: given the module, torch.onnx.export tries three more ways to trace what cannot be traced.
            program = torch.export.export(graph, (example,), dynamic_shapes=(axes,), strict=False)
            return torch.onnx.export(
                program, (), dynamo=True, opset_version=opset, verbose=False, dynamic_shapes=(named,),
                input_names=[GRAPH_INPUT], output_names=[GRAPH_OUTPUT],
            )  # fmt: skip
    except Exception as error:  # the exporter raises errors of many types
        head = type(graph.net.head)
        reason = " ".join(str(error.__cause__ or error).split())[:200] or type(error).__name__
        raise UserError(
            f"the model cannot be exported: {graph.net.backbone.name} with the head {head.__module__}."
            f"{head.__qualname__} ({reason}); --format model writes it without a graph"
        ) from error


@contextlib.contextmanager
def _silence() -> Any:
    """Without the exporter's warnings and pages of progress; what is wrong comes as an error."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def onnx_runner(path: Path, *, threads: int) -> Runner:
    """Run the file on the CPU.

    Raises:
        UserError: The installed ONNX Runtime does not take it.
    """
    (runtime,) = require("onnxruntime", extra="onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.force_spinning_stop", "1")  # idle threads would slow what runs next
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # one of many types of its own
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"onnxruntime {runtime.__version__} does not run the file ({reason}); try --opset {LEAST_OPSET}, "
            'or pip install --upgrade "thawline[onnx]"'
        ) from error

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        (probabilities,) = session.run([GRAPH_OUTPUT], {GRAPH_INPUT: images})
        return np.asarray(probabilities, np.float32)

    return run
