"""A few seconds of everything that a run rests on, with a tiny model on made-up images."""

import copy
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F

from thawline.amounts import images_per_second
from thawline.atomic import write_atomically
from thawline.callbacks.checkpoint_files import save_whole
from thawline.errors import first_line
from thawline.freezing.bound_plan import BoundPlan
from thawline.freezing.plan import make_plan
from thawline.machine.thread_trial import ThreadTrial, threads_restored, usable_threads
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.heads import LinearHead
from thawline.models.load_checkpoint import load_checkpoint
from thawline.settings.strategy_settings import StrategySettings

_MODEL, _SIZE, _BATCH = "test_resnet", 64, 8  # half a million parameters


def self_test(device: torch.device) -> Iterator[tuple[str, bool, str]]:
    """(what, whether it works, what was seen) for every check."""
    torch.manual_seed(0)
    backbone = build_backbone(_MODEL, weights="none", image_size=_SIZE).to(device)
    images = torch.rand(_BATCH, 3, _SIZE, _SIZE).to(device)
    checks: dict[str, Callable[[], str]] = {
        "stages": lambda: _cut_anywhere(backbone, images),
        "freezing": lambda: _frozen_stays(copy.deepcopy(backbone), images),
        "files": _written_and_read,
        "speed": lambda: _speed(backbone, images),
    }
    for name, check in checks.items():
        try:
            yield name, True, check()
        except Exception as error:  # whatever fails here is the finding
            yield name, False, f"{type(error).__name__}: {first_line(error, nothing='-')}"


@torch.no_grad()
def _cut_anywhere(backbone: Backbone, images: torch.Tensor) -> str:
    backbone.eval()
    whole = backbone(images)
    for cut in range(1, backbone.num_stages):
        torch.testing.assert_close(backbone.suffix(backbone.prefix(images, cut), cut), whole, rtol=0, atol=0)
    return f"{backbone.num_stages} stages, cut anywhere, bitwise the whole model"


def _frozen_stays(backbone: Backbone, images: torch.Tensor) -> str:
    names = [stage.name for stage in backbone.stages]
    plan = make_plan(StrategySettings("self test", unfreeze_depth=1), stage_names=names, model_name=backbone.name)
    head = LinearHead(backbone.num_features, 2).to(images.device)
    bound = BoundPlan(plan, backbone, head)
    bound.apply(0)
    backbone.train()
    never = bound.never_training()
    before = {name: tensor.clone() for name, tensor in bound.tensors().items() if name in never}
    optimizer = torch.optim.AdamW(bound.ever_trainable().values(), lr=0.01)
    labels = torch.arange(len(images), device=images.device) % 2
    losses = []
    for _ in range(3):
        loss = F.cross_entropy(head(backbone(images)), labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    changed = [name for name, tensor in before.items() if not torch.equal(tensor, bound.tensors()[name])]
    if changed or losses[-1] >= losses[0]:
        raise RuntimeError(f"changed though frozen: {changed}, losses {losses}")
    return f"{len(before)} frozen tensors unchanged, loss {losses[0]:.2f} to {losses[-1]:.2f} in three steps"


def _written_and_read() -> str:
    with tempfile.TemporaryDirectory() as folder:
        write_atomically(Path(folder) / "a.json", "{}")
        save_whole({"state_dict": {"w": torch.ones(3)}, "global_step": 1}, Path(folder) / "a.ckpt")
        load_checkpoint(Path(folder) / "a.ckpt")
    return "a record and a checkpoint written, flushed, renamed and read"


@torch.no_grad()
def _speed(backbone: Backbone, images: torch.Tensor) -> str:
    """Images a second of a forward pass with all threads and with one; which is faster says how busy the machine is."""
    backbone.eval()
    if images.device.type != "cpu":
        backbone(images)
        start = time.perf_counter()
        backbone(images)[0, 0].item()
        return f"{images_per_second(len(images) / (time.perf_counter() - start))} forward"
    trial = ThreadTrial(tuple(dict.fromkeys((usable_threads(), 1))))
    with threads_restored():
        backbone(images)
        while (number := trial.next) is not None:
            torch.set_num_threads(number)
            start = time.perf_counter()
            backbone(images)
            trial.note(number, time.perf_counter() - start)
    rates = (f"{len(images) / min(times):,.0f} with {number}" for number, times in trial.seconds.items())
    return f"images/s forward by threads: {', '.join(rates)}; threads=auto would take {trial.winner}"
