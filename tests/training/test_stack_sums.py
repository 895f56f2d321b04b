"""A stack from sums: near the one of the rows, and its sums add up."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from thawline.errors import UserError
from thawline.features.extract import Tap
from thawline.features.fold_sums import RowFacts
from thawline.features.left_out import Targets
from thawline.features.readout import Readout
from thawline.features.stack import FOLDS, solve_stack
from thawline.machine.collectives import summed_over_processes
from thawline.training.stack_solver import StackRows
from thawline.training.stack_sums import KeptRows, StackSums, SumsOfRows, coordinates_of

READOUT = Readout((0, 1), (1,), (Tap(1, 1), Tap(2, 1)), (6, 10))
CLASSES = 3


def rows(number: int, *, seed: int) -> tuple[Tensor, Tensor]:
    centres = torch.randn(CLASSES, 16, generator=torch.Generator().manual_seed(9))
    labels = torch.arange(number) % CLASSES
    return 0.5 * centres[labels] + torch.randn(number, 16, generator=torch.Generator().manual_seed(seed)), labels


def summed(
    features: Tensor, labels: Tensor, *, kept: slice, first_group: int = 0, like: StackSums | None = None
) -> StackSums:
    groups = torch.arange(len(labels)) + first_group
    targets = Targets.of(labels, num_classes=CLASSES, groups=groups)
    facts = RowFacts(labels, targets.folds(FOLDS), targets.weights)
    few = KeptRows(features[kept], targets.some(torch.arange(len(labels))[kept]), facts.folds[kept], groups[kept])
    reads = coordinates_of(READOUT, few) if like is None else like.reads
    sums = SumsOfRows(READOUT, reads, num_classes=CLASSES)
    for start in range(0, len(labels), 7):
        sums.add(features[start : start + 7], facts.some(slice(start, start + 7)))
    return StackSums(READOUT, reads, (sums.sums,), few, len(labels))


def test_a_stack_from_sums_is_near_that_of_all_rows_and_better_than_that_of_the_kept() -> None:
    features, labels = rows(300, seed=0)
    new, their_labels = rows(2000, seed=1)
    kept = slice(0, 60)
    targets = Targets.of(labels, num_classes=CLASSES)
    from_sums = summed(features, labels, kept=kept).solved()
    whole = solve_stack(READOUT.split(features), targets)
    few = solve_stack(READOUT.split(features[kept]), targets.some(torch.arange(300) < 60))
    logs = [stack.predict(READOUT.split(new)).log() for stack in (from_sums, whole, few)]
    losses = [float(torch.nn.functional.nll_loss(log, their_labels)) for log in logs]
    assert losses[0] - losses[1] < 0.5 * (losses[2] - losses[1])
    assert len(from_sums.labels) == 60


def test_training_and_validation_images_add_up_and_can_judge() -> None:
    features, labels = rows(100, seed=0)
    others, their_labels = rows(40, seed=2)
    train = summed(features, labels, kept=slice(0, 30))
    val = summed(others, their_labels, kept=slice(0, 12), first_group=100, like=train)
    both = train.with_others(val)
    assert (both.num_groups, both.num_left_out, len(both.solved().labels)) == (140, 42, 42)
    united = torch.cat([features, others]), torch.cat([labels, their_labels])
    (of_train,), (of_val,), (whole,) = train.sums, val.sums, summed(*united, kept=slice(0, 30), like=train).sums
    for a, b, together in zip(of_train, of_val, whole, strict=True):  # the folds are others
        torch.testing.assert_close((a + b).sum(0), together.sum(0), atol=1e-9, rtol=1e-9)
    judged = train.solved(judges=val)
    assert torch.equal(judged.labels, their_labels[:12])
    refitted = both.refitted(judged)
    assert refitted.settings == judged.settings
    assert not torch.equal(refitted.linears[0].bias, judged.linears[0].bias)


def test_every_row_is_fitted_on_where_all_are_kept() -> None:
    """With the settings of the one, fits of sums are those of the rows."""
    features, labels = rows(60, seed=0)
    stack = summed(features, labels, kept=slice(None)).solved()
    targets = Targets.of(labels, num_classes=CLASSES)
    refitted = StackRows(READOUT, features, targets).refitted(stack)
    for a, b in zip(stack.linears, refitted.linears, strict=True):
        torch.testing.assert_close(a.bias, b.bias, atol=1e-6, rtol=0)
        for tap in a.weights:
            torch.testing.assert_close(a.weights[tap], b.weights[tap], atol=1e-6, rtol=0)


def test_a_feature_that_is_not_finite_is_one_line() -> None:
    features, labels = rows(40, seed=0)
    train = summed(features, labels, kept=slice(0, 20))
    broken = features.clone()
    broken[30, 8] = torch.nan
    with pytest.raises(UserError, match="features at cut 2 are not all finite"):
        summed(broken, labels, kept=slice(0, 20), like=replace(train))


def _sum_a_half(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    features, labels = rows(100, seed=0)
    whole = summed(features, labels, kept=slice(0, 30))
    targets = Targets.of(labels, num_classes=CLASSES)
    facts, mine = RowFacts(labels, targets.folds(FOLDS), targets.weights), slice(rank, None, 2)
    half = SumsOfRows(READOUT, whole.reads, num_classes=CLASSES)
    half.add(features[mine], facts.some(mine))
    summed_over_processes(half.sums)
    stack = replace(whole, sums=(half.sums,)).solved()
    torch.save([*half.sums, *stack.scaled()], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_solve_what_one_does(tmp_path: Path) -> None:
    both = [subprocess.Popen([sys.executable, __file__, str(rank), str(tmp_path)]) for rank in range(2)]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    features, labels = rows(100, seed=0)
    whole = summed(features, labels, kept=slice(0, 30))
    for rank in range(2):
        parts = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        expected = [*whole.sums[0], *whole.solved().scaled()]
        torch.testing.assert_close(parts, expected, atol=1e-6, rtol=1e-6)


if __name__ == "__main__":
    _sum_a_half(int(sys.argv[1]), sys.argv[2])
