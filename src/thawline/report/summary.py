"""The screen at the end of a run: settings, scores, costs, and the commands to go on with."""

import shlex
from pathlib import Path

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from thawline.amounts import images_per_second, plural
from thawline.freezing.status import counted_line
from thawline.invocation import typed
from thawline.machine.run_cost import Cost
from thawline.report.run_record import RunRecord


def summary_panel(record: RunRecord) -> Panel:
    """One screen, at most 24 lines."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _rows(record):
        table.add_row(label, Text(text))
    return Panel(table, title=Text(f"Thawline: {record.scenario}"), title_align="left", expand=False)


def next_steps(folder: Path, log_root: Path, *, tensorboard: bool = True) -> str:
    """The run's folder and commands to use it and to look at it, as plain lines to copy."""
    root = shlex.quote(str(log_root))
    compare = f"tensorboard --logdir {root}" if tensorboard else f"{typed('compare')} {root}"
    use = f"{typed('predict')} {shlex.quote(str(folder))} IMAGES"
    return f"run      {folder}\nuse      {use}\ncompare  {compare}"


def _rows(record: RunRecord) -> list[tuple[str, str]]:
    data, model, cost, metrics = record.data, record.model, record.cost, record.metrics
    classes = plural(data.num_classes, "class", "classes")
    sizes = f"{data.num_train:,} train, {data.num_val:,} val, {data.num_test:,} test, {classes}"
    penalty = record.strategy.penalty
    solved = [] if penalty is None else [("head", f"logistic regression, penalty {penalty:g} chosen on validation")]
    return [
        ("strategy", f"{record.strategy.name}, {_plan(record)}"),
        ("data", f"{data.name}: {sizes}"),
        ("model", f"{model.name}, {_weights(model.weights)}, {model.head} head"),
        ("", counted_line(record.params.trainable, record.params.total)),
        *solved,
        ("frozen", _frozen(record)),
        ("cache", _cache(record)),
        ("val", f"{_scores(record, 'val')} ({_tested(record)})"),
        *_expected(record),
        ("test", f"{_scores(record, 'test')}   loss {metrics['test/loss']:.4f}"),
        *_costs(cost),
    ]


def _costs(cost: Cost) -> list[tuple[str, str]]:
    """What was counted; of a solver's steps nothing is."""
    seconds, peak = f"{cost.wall_s:.0f} s in all, {cost.fit_s:.0f} s fit", _bytes(cost.peak_memory_bytes)
    if not cost.train_flops:
        return [("time", seconds), ("memory", f"peak {peak}")]
    state, saved = _bytes(cost.optimizer_state_bytes), _bytes(cost.saved_activation_bytes)
    return [
        ("time", f"{seconds}, {images_per_second(cost.images_per_s)}"),
        ("memory", f"peak {peak}, optimizer state {state}, saved activations {saved}"),
        ("compute", f"{cost.train_flops / 1e12:.3g} TFLOP of training"),
    ]


def _scores(record: RunRecord, split: str) -> str:
    """Those that there are."""
    shown = {"accuracy": "accuracy", "balanced": "balanced_accuracy", "macro F1": "macro_f1"}
    metrics = {name: record.metrics.get(f"{split}/{key}") for name, key in shown.items()}
    return "   ".join(f"{name} {value:.4f}" for name, value in metrics.items() if value is not None)


def _expected(record: RunRecord) -> list[tuple[str, str]]:
    expected = record.expected
    if not expected.images:
        return []
    of = f" of {plural(expected.new_images, 'test image')}" if expected.new_images else ""
    interval = f"{expected.low:.4f} to {expected.high:.4f}{of} with a probability of 0.8"
    return [
        (
            "expected",
            f"accuracy {expected.accuracy:.4f}, {interval} ({expected.by}, {plural(expected.images, 'image')})",
        )
    ]


def _tested(record: RunRecord) -> str:
    """Which weights were tested, and why."""
    if record.strategy.tested_weights == "refit":
        return f"solved on training images; tested as {record.strategy.tested_why}"
    score = (record.strategy.tested_weights or "val_accuracy").removeprefix("val_").replace("_", " ")
    rule = "last weights" if score == "last" else f"best by validation {score.replace('f1', 'F1')}"
    why = f"; {record.strategy.tested_why}" if record.strategy.tested_why else ""
    return f"{rule}, epoch {record.best_epoch}{why}"


def _weights(weights: str) -> str:
    if weights == "none":
        return "random weights"
    return f"{weights} weights" if weights in ("embedded", "hub") else f"weights from {weights}"


def _cache(record: RunRecord) -> str:
    cache, stages = record.cache, record.model.num_stages
    if not cache.used:
        return "not used"
    views = f", {cache.views} views" if cache.views > 1 else ""
    return f"{cache.cut} of {stages} stages computed once{views}: {_bytes(cache.bytes)}, {cache.seconds:.0f} s"


def _plan(record: RunRecord) -> str:
    phases, depth, stages = record.strategy.phases, record.strategy.unfreeze_depth, record.model.num_stages
    if len(phases) > 1:
        return f"{len(phases)} phases, at the end {len(phases[-1]['stages'])} parts of {stages + 1} train"
    if record.strategy.planned_phases > 1:
        return f"{', '.join(phases[0]['stages'])} only: training ended before the plan's first change"
    if (read := record.strategy.feature_stages) is not None:
        grid = record.strategy.feature_grid
        cells = " and ".join(f"{side} x {side}" for side in (grid if isinstance(grid, list) else [grid]))
        return f"the head reads {len(read)} of {stages} stages, each averaged over {cells} cells of the image"
    return f"{', '.join(phases[0]['stages'])} train" if depth is None else f"unfreeze_depth {depth} of {stages} stages"


def _frozen(record: RunRecord) -> str:
    freeze = record.freeze
    if record.strategy.parameters == "lora" and freeze.checks:
        return f"all pretrained weights: bitwise unchanged in {freeze.checks} checks; adapters trained beside them"
    if not freeze.frozen_stages:
        return "no stage was frozen throughout"
    if not freeze.checks:
        return f"{freeze.frozen_stages} stages, not checked (strategy.guard=false)"
    assert freeze.verified, "a breach ends the run"
    return f"{freeze.frozen_stages} stages never trained: bitwise unchanged in {freeze.checks} checks"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
