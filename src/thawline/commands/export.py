"""Write a run's model for other runtimes, and check on the spot that it answers as Thawline does."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from thawline.commands.ending import BROKEN, exit_code, say
from thawline.commands.plain_parser import plain_parser
from thawline.commands.started import note_start
from thawline.errors import UserError
from thawline.printable import printable

if TYPE_CHECKING:  # imports torch; --help does without
    from thawline.deploy.export_images import Images
    from thawline.runs.run_images import RunImages

_MODEL = "model"
_FORMATS = ("onnx", "openvino", _MODEL)
_MOST_CHECKED = 1000  # test images; chosen: they take a minute or two with a large model
_HELP = """Write a run's model for other runtimes, and check on the spot that it answers as Thawline does.

    {command} outputs/small_different/RUN --format onnx --out exported       # model.onnx and a script that uses it
    {command} outputs/small_different/RUN --format openvino --out exported   # model.xml, model.bin
    {command} outputs/small_different/RUN --format onnx --int8 --out exported
    {command} outputs/small_different/RUN --format model --out exported      # the portable model folder

The exported model takes uint8 images (N, S, S, 3), a batch of any size, and gives probabilities (N, K).
"""


def main() -> int:
    """Export; 1 where the exported model answers otherwise than Thawline."""
    note_start()
    given = _arguments()
    return exit_code(lambda: _export(given))


def _export(given: argparse.Namespace) -> int:
    _refuse_without_effect(given)
    from thawline.deploy.export_folder import refuse_used

    refuse_used(given.out)  # before anything that takes long
    _say("loading", printable(given.run))  # before torch is, which takes seconds
    return (_model if given.format == _MODEL else _runtime)(given)


def _runtime(given: argparse.Namespace) -> int:
    from thawline.deploy.export_int8 import CALIBRATION_IMAGES
    from thawline.deploy.export_job import Wanted, export
    from thawline.deploy.export_onnx import DEFAULT_OPSET, checked_opset, require
    from thawline.deploy.loaded import model_folder

    model_folder(given.run)
    require("onnx", "onnxscript", "onnxruntime", extra="onnx")
    if given.format == "openvino":
        require("openvino", extra="openvino")
    opset = DEFAULT_OPSET if given.opset is None else checked_opset(given.opset)
    wanted = Wanted(given.format, opset, given.resize_inside, given.trust)
    of_run = _images(given)
    training = None
    if given.int8:
        if isinstance(of_run, str):
            raise UserError(f"--int8 is calibrated on the run's training images, but {of_run}")
        training = of_run.some("train", most=CALIBRATION_IMAGES)
    good = export(given.run, given.out, wanted, images=_checked(of_run), training=training, say=_say)
    if not good:
        print("error: the exported model does not answer as Thawline does; do not use it", file=sys.stderr)
    return 0 if good else BROKEN


def _model(given: argparse.Namespace) -> int:
    from thawline.deploy.convert import convert

    convert(given.run, given.out, images=_checked(_images(given)), trust=given.trust, say=_say)
    return 0


def _images(given: argparse.Namespace) -> "RunImages | str":
    """The run's, or why they are not to be had."""
    _say("images", "looking for those of the run")
    from omegaconf.errors import OmegaConfBaseException

    from thawline.runs.run_images import RunImages

    try:
        return RunImages(given.run, trust=given.trust)
    except (UserError, ImportError, OmegaConfBaseException) as error:
        return " ".join(str(error).split())


def _checked(of_run: "RunImages | str") -> "Images":
    from thawline.deploy.export_images import made_up

    return made_up(of_run) if isinstance(of_run, str) else of_run.some("test", most=_MOST_CHECKED)


def _refuse_without_effect(given: argparse.Namespace) -> None:
    if given.format == "openvino" and given.int8:
        raise UserError(
            "--int8: is for --format onnx, because OpenVINO answers otherwise than ONNX Runtime from the same int8 "
            "file; NNCF quantises the model.xml that --format openvino writes without --int8"
        )
    if given.format != _MODEL:
        return
    options = {"--int8": given.int8, "--resize-inside": given.resize_inside, "--opset": given.opset is not None}
    for name in (name for name, is_given in options.items() if is_given):
        raise UserError(f"{name} has no effect with --format {_MODEL}; take it out, or choose onnx or openvino")


def _say(about: str, text: str) -> None:
    say(f"{about:8} {text}")


def _arguments() -> argparse.Namespace:
    parser = plain_parser(
        "export",
        _HELP,
        epilog="Exit code 0: the exported model answers as Thawline does. 1: it does not. 2: it cannot be made.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a completed run, or a model folder")
    parser.add_argument("--format", choices=_FORMATS, required=True, help="model: a portable folder, as runs leave it")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write; new, or empty")
    parser.add_argument("--resize-inside", action="store_true", help="take images of any size, (N, H, W, 3)")
    parser.add_argument("--int8", action="store_true", help="also an int8 model, calibrated on training images (onnx)")
    parser.add_argument("--opset", type=int, metavar="N", help="version of ONNX's operators; default 20")
    parser.add_argument("--trust", action="store_true", help="let code outside Thawline run: a head, a data source")
    return parser.parse_args()
