"""Turn an ONNX file into OpenVINO's, and run that."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thawline.deploy.export_onnx import Runner, require

OPENVINO_FILE = "model.xml"  # its weights lie in model.bin
METADATA_KEY = "thawline"  # of the file's rt_info


def write_openvino(onnx: Path, path: Path, *, about: Mapping[str, str]) -> None:
    """Write `path` and the weights beside it, in fp32; `about` becomes `rt_info` below "thawline".

    `Core.read_model` is used and not `convert_model`, which reads ONNX in the same way and reports its use to Intel.
    """
    (openvino,) = require("openvino", extra="openvino")
    model = openvino.Core().read_model(str(onnx))
    for key, text in about.items():
        model.set_rt_info(text, [METADATA_KEY, key])
    openvino.save_model(model, str(path), compress_to_fp16=False)


def openvino_runner(path: Path, *, threads: int) -> Runner:
    """Run the file on the CPU in fp32; left alone, OpenVINO computes in bf16 where the CPU does."""
    (openvino,) = require("openvino", extra="openvino")
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(str(path), "CPU", hints)

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.array(compiled(images)[0], np.float32)

    return run
