"""The options that predict, evaluate and serve share, spelled alike."""

import argparse

from thawline.settings.trainer_settings import ACCELERATORS

_PRECISIONS = ("auto", "32-true", "bf16-mixed")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """How the model is loaded, and where and in which numbers it computes."""
    add = parser.add_argument
    where = "where to compute: cpu, gpu (CUDA or Apple's), mps (Apple's), or auto, a GPU if there is one"
    add("--accelerator", choices=ACCELERATORS, default="auto", help=where)
    add("--precision", choices=_PRECISIONS, help="number formats; as in the run's test where it is left out")
    add("--trust", action="store_true", help="run code outside Thawline that the model names, such as your own head")
