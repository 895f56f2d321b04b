"""The screen at the end of a run: what ran, how well, at what cost, and where it lies."""

from pathlib import Path

from rich.panel import Panel
from rich.table import Table

from thawline.report.run_record import RunRecord


def summary_panel(record: RunRecord, *, folder: Path, trainable_line: str, log_root: Path) -> Panel:
    """One screen, at most 24 lines."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _rows(record, trainable_line):
        table.add_row(label, text)
    table.add_row("run", str(folder))
    table.add_row("compare", f"tensorboard --logdir {log_root}")
    return Panel(table, title=f"Thawline: {record.scenario}", title_align="left", expand=False)


def _rows(record: RunRecord, trainable_line: str) -> list[tuple[str, str]]:
    data, model, cost, metrics = record.data, record.model, record.cost, record.metrics
    depth = record.strategy["unfreeze_depth"]
    return [
        ("strategy", f"{record.strategy['name']}, unfreeze_depth {depth} of {model['num_stages']} stages"),
        (
            "data",
            f"{data['name']}: {data['num_train']:,} train, {data['num_val']:,} val, {data['num_test']:,} test, "
            f"{data['num_classes']} classes",
        ),
        ("model", f"{model['name']}, {_weights(model['weights'])}, {model['head']} head"),
        ("", trainable_line),
        ("frozen", _frozen(record)),
        ("val", f"accuracy {metrics['val/accuracy']:.4f} (best checkpoint)"),
        (
            "test",
            f"accuracy {metrics['test/accuracy']:.4f}   balanced {metrics['test/balanced_accuracy']:.4f}   "
            f"loss {metrics['test/loss']:.4f}",
        ),
        ("time", f"{cost['wall_s']:.0f} s in all, {cost['fit_s']:.0f} s fit, {cost['images_per_s']:.0f} images/s"),
        (
            "memory",
            f"peak {_bytes(cost['peak_memory_bytes'])}, optimizer state {_bytes(cost['optimizer_state_bytes'])}, "
            f"saved activations {_bytes(cost['saved_activation_bytes'])}",
        ),
        ("compute", f"{cost['train_flops'] / 1e12:.3g} TFLOP of training"),
    ]


def _weights(weights: str) -> str:
    if weights == "none":
        return "random weights"
    return f"{weights} weights" if weights in ("embedded", "hub") else f"weights from {weights}"


def _frozen(record: RunRecord) -> str:
    checks = record.freeze["checks"]
    if not checks:
        return "no stage was frozen"
    assert record.freeze["verified"], "a breach ends the run"
    return f"{checks} stages checked after training and test: bitwise unchanged"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
