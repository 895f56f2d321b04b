"""The text of a script beside model.onnx, which classifies images with ONNX Runtime, Pillow and NumPy alone."""

from thawline.deploy.description import Preprocessing

SCRIPT_FILE = "predict_onnx.py"
_SCRIPT = '''"""Classify images with model.onnx; needs onnxruntime, pillow and numpy."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("images", nargs="+", metavar="IMAGE")
paths, failed = parser.parse_args().images, False
session = onnxruntime.InferenceSession(str(Path(__file__).with_name("model.onnx")))
about = session.get_modelmeta().custom_metadata_map
names, seen = json.loads(about["class_names"]), json.loads(about["preprocessing"])


def read(path):
    image = Image.open(path)
{draft}    image = ImageOps.exif_transpose(image)
{turn}{wide}    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def prepare(image):
{prepare}

for path in paths:
    try:
        pixels = np.asarray(prepare(read(path)))[None]  # (1, height, width, 3), uint8
    except OSError as error:  # missing, or no image
        print(f"{{path}}: {{error.strerror or error}}", file=sys.stderr)
        failed = True
        continue
    (probabilities,) = session.run(None, {{"images": pixels}})[0]
    print(f"{{path}}\\t{{names[probabilities.argmax()]}}\\t{{probabilities.max():.4f}}")
sys.exit(failed)
'''
# As `data.decode` and `data.margins` do.
_DRAFT = """    turn = image.getexif().get(274, 1)
    if image.format in ("JPEG", "MPO"):  # decoded at a reduced scale, its shorter side no less than this
        drafted = image.draft(None, (seen["decoded_side"], seen["decoded_side"]))
        if drafted:  # the part that shows the file, to a fraction of a pixel
            image.info["box"] = drafted[1]
"""
_TURN = """    if "box" in image.info:
        *_, width, height = image.info["box"]
        width, height = (height, width) if turn > 4 else (width, height)
        left = image.width - width if turn in (2, 3, 6, 7) else 0
        top = image.height - height if turn in (3, 4, 7, 8) else 0
        image.info["box"] = left, top, left + width, top + height
"""
_WIDE = """    if image.mode.startswith(("I", "F")):  # wider than 8 bits
        low, high = seen["value_range"]
        levels = np.rint((np.asarray(image).astype(float) - low) * 255 / (high - low))
        image = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
"""
_ANY_SIZE = """    return image  # the model resizes it
"""
_START = """    size, kind = seen["size"], Image.Resampling[seen["interpolation"].upper()]
    box = image.info.get("box", (0, 0, *image.size))
    corner, sides = box[:2], (box[2] - box[0], box[3] - box[1])
"""
# As `data.transforms.CentreCrop` does, which resizes only the part that stays, but for upright images.
_CROP = """    shorter, small = min(sides), int(size / seen["crop_pct"])
    resized = [small if side == shorter else int(small * side / shorter) for side in sides]
    starts = [round((side - size) / 2) for side in resized]
    if sides[0] < sides[1] <= 4 * sides[0]:
        return image.resize(resized, kind, box=box).crop((*starts, *(start + size for start in starts)))
    each = list(zip(corner, starts, sides, resized))
    first = [at + start * side / of for at, start, side, of in each]
    last = [at + (start + size) * side / of for at, start, side, of in each]
    return image.resize((size, size), kind, box=(*first, *last))
"""
_PAD = """    small = [max(1, round(size * side / max(sides))) for side in sides]
    square = Image.new("RGB", (size, size), tuple(round(255 * level) for level in seen["mean"]))
    square.paste(image.resize(small, kind, box=box), [(size - side) // 2 for side in small])
    return square
"""
_SQUASH = """    return image.resize((size, size), kind, box=box)
"""
_FITS = {"crop": _CROP, "pad": _PAD, "squash": _SQUASH}


def script(seen: Preprocessing, *, resize_inside: bool) -> str:
    """Python that prepares an image as Thawline does; it reads the files that Pillow reads.

    A graph that resizes takes whole pixels, so the script reads files in full there.
    """
    prepare = _ANY_SIZE if resize_inside else _START + _FITS[seen.fit]
    draft, turn = (_DRAFT, _TURN) if seen.decoded_side and not resize_inside else ("", "")
    wide = _WIDE if seen.value_range else ""
    return _SCRIPT.format(draft=draft, turn=turn, wide=wide, prepare=prepare)
