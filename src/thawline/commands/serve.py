"""Serve a model over HTTP: an API, and a page to drop images on."""

import argparse
import warnings
from importlib.util import find_spec
from pathlib import Path

from thawline.amounts import plural
from thawline.commands.ending import exit_code
from thawline.commands.model_options import add_model_options
from thawline.commands.plain_parser import plain_parser
from thawline.commands.started import note_start
from thawline.errors import UserError
from thawline.printable import printable

_EXTRA = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")  # modules of the extra `serve`
_LARGEST_BATCH = 32
_MOST_PORTS = 65_535
_MIB, _MEGAPIXEL = 1 << 20, 1_000_000
_HELP = """Answer over HTTP with the model of a run, or of a model folder.

    {command} outputs/small_different/RUN                 # http://127.0.0.1:8000: a page to drop images on
    curl --data-binary @cat.jpg http://127.0.0.1:8000/predict
    curl -F files=@cat.jpg -F files=@dog.jpg http://127.0.0.1:8000/predict

/docs, /openapi.json, /health, /model and /metrics (Prometheus) tell about it. Only this machine can reach it, unless
--host says otherwise: it asks nobody for a password.
"""


def main() -> int:
    """Serve until ctrl-C or SIGTERM; returns the exit code."""
    note_start()
    given = _arguments()
    return exit_code(lambda: _serve(given), explain=lambda _: None)  # writes no file


def _serve(given: argparse.Namespace) -> None:
    _check(given)
    print(f"loading  {printable(given.run)}, and a first batch of {plural(given.batch_size, 'image')}", flush=True)
    from PIL import Image  # this and what follows takes seconds

    from thawline.deploy.loaded import load, model_folder
    from thawline.deploy.serving_app import Service, make_app
    from thawline.deploy.serving_images import Limits
    from thawline.deploy.serving_loop import address_of, listening, serve

    model_folder(given.run)  # a wrong folder is told before a port is taken
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # --max-megapixels refuses them, by the header
    with listening(given.host, given.port) as opened:
        model = load(given.run, trust=given.trust, accelerator=given.accelerator, precision=given.precision)
        limits = Limits(
            max_bytes=given.max_mb * _MIB,
            max_pixels=given.max_megapixels * _MEGAPIXEL,
            timeout_s=given.timeout,
        )
        service = Service(model, limits=limits, largest=given.batch_size, wait_s=given.wait_ms / 1000)
        service.warm_up()
        _announce(service.name, address_of(opened), model.device.type)
        serve(make_app(service), opened)
    print("stopped")


def _announce(name: str, address: str, device: str) -> None:
    print(f"model    {name}, on {device}")
    if not address.startswith(("http://127.", "http://[::1]")):
        print("note     whoever reaches this machine can use it: there is no password")
    print(f"serving  {address}  (ctrl-C ends it)", flush=True)


def _check(given: argparse.Namespace) -> None:
    """Bad input that needs no model to be seen."""
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise UserError(f'serving takes more packages ({missing[0]} is missing): pip install "thawline[serve]"')
    ranges = {
        "port": (0, _MOST_PORTS),
        "batch_size": (1, _LARGEST_BATCH),
        "wait_ms": (0, 1000),
        "max_mb": (1, 1024),
        "max_megapixels": (1, 178),  # where Pillow itself refuses
        "timeout": (1, 3600),
    }
    for key, (low, high) in ranges.items():
        value = getattr(given, key)
        if not low <= value <= high:
            raise UserError(f"--{key.replace('_', '-')} {value:g}: allowed are {low} to {high}")


def _arguments() -> argparse.Namespace:
    parser = plain_parser("serve", _HELP)
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="folder of a completed run, or a model folder")
    add("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all networks; default %(default)s")
    add("--port", type=int, default=8000, help="0 takes a free one; default %(default)s")
    add_model_options(parser)
    add(
        "--batch-size",
        type=int,
        metavar="N",
        default=_LARGEST_BATCH,
        help="images computed together at most; default %(default)s",
    )
    add("--wait-ms", type=float, default=3.0, help="that an image waits for others; default %(default)s")
    add("--max-mb", type=int, default=64, help="MiB of a request at most; default %(default)s")
    add("--max-megapixels", type=int, default=64, help="of an image at most; default %(default)s")
    add("--timeout", type=float, default=30.0, help="seconds for a request, its body included; default %(default)s")
    return parser.parse_args()
