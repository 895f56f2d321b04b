"""Quantise an ONNX file to int8: static, calibrated on training images; the head and the input stay in fp32."""

import contextlib
import io
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thawline.deploy.export_metadata import GRAPH_INPUT
from thawline.deploy.export_onnx import require

INT8_FILE = "model_int8.onnx"
CALIBRATION_IMAGES = 200  # chosen: ranges of activations change little from 100 on
_SCOPES = "pkg.torch.onnx.name_scopes"  # of a node, written by torch's exporter: the modules that it lies in
_QUANTISED = ("Conv", "MatMul", "Gemm", "Add", "Clip", "Relu", "MaxPool")  # fused with each other by the runtime


def quantise(source: Path, target: Path, images: Iterable[NDArray[np.uint8]]) -> None:
    """Write `target` (QDQ): weights of the backbone in int8 with a scale for each channel, its activations in uint8.

    With signed activations EfficientNet-Lite0 took 1.5 to 2.3 times as long at 64 pixels on an AVX512-VNNI core.

    Args:
        images: Of the training set, as the graph takes them, (S, S, 3) or (H, W, 3).
    """
    onnx, quantization = require("onnx", "onnxruntime.quantization", extra="onnx")
    nodes = onnx.load(str(source)).graph.node
    inside = [node.name for node in nodes if node.op_type in _QUANTISED and _in_backbone(node)]
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it advises a pre-processing that the exporter has done already
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            quantization.quantize_static(
                str(source), str(target), _reader(quantization, images), nodes_to_quantize=inside, per_channel=True,
                quant_format=quantization.QuantFormat.QDQ, activation_type=quantization.QuantType.QUInt8,
            )  # fmt: skip
    finally:
        logger.setLevel(level)


def _in_backbone(node: Any) -> bool:
    scopes = "".join(entry.value for entry in node.metadata_props if entry.key == _SCOPES)
    return "'net.backbone" in scopes or "'net.beside.backbone" in scopes


def _reader(quantization: Any, images: Iterable[NDArray[np.uint8]]) -> Any:
    batches = ({GRAPH_INPUT: image[None]} for image in images)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            return next(batches, None)

    return Reader()
