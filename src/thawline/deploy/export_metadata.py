"""What an exported file says of itself: class names, input, preprocessing, calibration, origin; as texts by key."""

import json
from dataclasses import asdict

from thawline import __version__
from thawline.deploy.description import Description

GRAPH_INPUT, GRAPH_OUTPUT = "images", "probabilities"  # names of the graph's input and output


def metadata(description: Description, *, resize_inside: bool) -> dict[str, str]:
    """Texts by key; all but `input`, `output` and `thawline` are JSON."""
    seen, size = description.preprocessing, description.preprocessing.size
    shape = "N, H, W, 3" if resize_inside else f"N, {size}, {size}, 3"
    prepared = "any size" if resize_inside else "resized as `preprocessing` says, with Pillow"
    return {
        "thawline": __version__,
        "input": f"{GRAPH_INPUT}: uint8 ({shape}), RGB, {prepared}; normalisation is in the graph",
        "output": f"{GRAPH_OUTPUT}: float32 (N, {len(description.class_names)}), in the order of `class_names`",
        "class_names": json.dumps(list(description.class_names)),
        "preprocessing": json.dumps({**asdict(seen), "resize_inside": resize_inside}),
        "calibration": json.dumps(asdict(description.calibration)),
        "provenance": json.dumps(asdict(description.provenance)),
    }
