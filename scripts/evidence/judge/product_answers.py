"""What `strategy=stacked_probe` and `strategy=blend` answer on a task, by the product's functions."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf

from judge.option_fits import CONF, Fit, accuracy
from judge.prepared import DTYPE, Prepared
from thawline.advisor.choices import depths_to_train, epochs_of, rate_of
from thawline.advisor.look import MAX_DISTANCE_IMAGES
from thawline.advisor.profile import depth_profile
from thawline.advisor.source_distances import source_distances
from thawline.data.sources.source import Split
from thawline.features.expected import Expected
from thawline.features.left_out import Targets
from thawline.features.stack import Stack, probe_taps
from thawline.features.temperature import fit_temperature
from thawline.models.stacked_head import StackedHead
from thawline.training.beside import StackBeside
from thawline.training.refit import solve_both
from thawline.training.stack_solver import StackRows, load_stack

_BATCH = 64  # images that are computed together for the distance


@dataclass(frozen=True)
class Solved:
    """The stack of training and validation images of one seed.

    Attributes:
        seconds: To solve; the features were made before.
    """

    stack: Stack
    expected: Expected
    seconds: float


@dataclass(frozen=True)
class Line:
    """How the blend fine-tunes: final stages, learning rate, epochs; with the distance, and the seconds for it."""

    depth: int
    rate: float
    epochs: int
    distance: float | None
    seconds: float


def solve(prepared: Prepared, seed: int) -> Solved:
    start = time.perf_counter()
    stack, expected, _ = solve_both(_stack_rows(prepared, seed, "train"), _stack_rows(prepared, seed, "val"))
    return Solved(stack, expected, time.perf_counter() - start)


def line_of(prepared: Prepared, seed: int, solved: Solved) -> Line:
    """As `scenario=auto` draws it."""
    start = time.perf_counter()
    images, labels, groups = (
        prepared.part(of_all, seed, "train") for of_all in (prepared.images, prepared.labels, prepared.groups)
    )
    spread = np.linspace(0, len(images) - 1, min(len(images), MAX_DISTANCE_IMAGES)).astype(np.int64)
    batches = torch.split(images[torch.from_numpy(spread)], _BATCH)
    distances = source_distances(prepared.backbone, batches, dtype=DTYPE)
    profile = depth_profile(
        solved.stack,
        prepared.readout.taps,
        stage_names=tuple(stage.name for stage in prepared.backbone.stages),
        distances=distances,
        expected=solved.expected,
        majority=float(torch.bincount(labels).max() / len(labels)),
    )
    distance = distances.overall.value if distances else None
    seconds = time.perf_counter() - start
    return Line(depths_to_train(profile)[0], rate_of(distance), epochs_of(len(torch.unique(groups))), distance, seconds)


def stacked_probe_entry(prepared: Prepared, seed: int, solved: Solved) -> dict[str, Any]:
    """As the results hold it."""
    answers = _beside(prepared, solved.stack).head(prepared.part(prepared.features, seed, "test"))
    tested = accuracy(answers, prepared.part(prepared.labels, seed, "test"))
    return {"test": tested, "seconds": solved.seconds, "expected": asdict(solved.expected)}


@torch.no_grad()
def blend_entry(prepared: Prepared, seed: int, solved: Solved, line: Line, tuned: Fit) -> dict[str, Any]:
    """As the results hold it. On validation images both parts know the training images only, as in a run.

    Args:
        tuned: The stages of `line`, fine-tuned.
    """
    start = time.perf_counter()
    train, val = (_stack_rows(prepared, seed, name) for name in ("train", "val"))
    beside = _beside(prepared, train.solved())
    of_stack, labels = beside.head(val.features), val.targets.labels
    weights = torch.ones(len(labels), dtype=torch.float64)
    factor, _ = fit_temperature(tuned.val.double().log_softmax(1), labels, weights, start=1.0)
    beside.temperature.fill_(factor)
    blend, stack = (logits.argmax(1) == labels for logits in (beside.average(tuned.val, of_stack), of_stack))
    load_stack(beside.head, solved.stack)
    seconds = solved.seconds + line.seconds + tuned.seconds + time.perf_counter() - start
    answers = beside.average(tuned.test, beside.head(prepared.part(prepared.features, seed, "test")))
    return {
        **asdict(line),
        "val": float(blend.double().mean()),
        "test": accuracy(answers, prepared.part(prepared.labels, seed, "test")),
        "seconds": seconds,
        "num_val": len(labels),
        "only_blend_right": int((blend & ~stack).sum()),
        "only_stack_right": int((stack & ~blend).sum()),
    }


def _stack_rows(prepared: Prepared, seed: int, name: Split) -> StackRows:
    features, labels, groups = (
        prepared.part(of_all, seed, name) for of_all in (prepared.features, prepared.labels, prepared.groups)
    )
    targets = Targets.of(labels, num_classes=prepared.num_classes, groups=groups)
    return StackRows(prepared.readout, features, targets)


def _beside(prepared: Prepared, stack: Stack) -> StackBeside:
    readout, share = prepared.readout, OmegaConf.load(CONF / "strategy" / "blend.yaml").strategy.stack_share
    head = StackedHead([readout.columns(taps) for taps in probe_taps(readout.taps)], prepared.num_classes)
    load_stack(head, stack)
    return StackBeside(prepared.backbone, readout=readout, head=head, share=share)
