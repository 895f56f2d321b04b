"""The speed table: rates of this process's children, one at a time, and the product's own runs at 224 pixels."""

import json
import math
from pathlib import Path
from typing import Any

from gpu.jobs import Job, run_jobs
from gpu.runs import Runs

Row = dict[str, Any]
_RATES_LIMIT_S = 100.0


def speed(runs: Runs, *, deadline: float) -> tuple[list[Row], list[Job]]:
    """Measure; what no time is left for is missing. Returns rows, and the jobs they came from."""
    quick = ("--quick",) if runs.quick else ()
    limit_s = math.inf if runs.quick else _RATES_LIMIT_S
    rates = Job("rates", lambda: ("-m", "gpu.speed_rates", *quick), limit_s=limit_s)
    models = ("--models", "tf_efficientnet_lite0")
    compiled = Job("rates_compiled", lambda: ("-m", "gpu.speed_rates", "--compiled", *models, *quick), limit_s=limit_s)
    compiled.env = {"TORCHINDUCTOR_CACHE_DIR": str(runs.folder / "inductor_rates")}  # nothing is compiled already
    jobs = [rates, *_product_jobs(runs), compiled]
    run_jobs(jobs, folder=runs.folder / "logs", at_once=1, deadline=deadline)
    rows = [row for job in (rates, compiled) for row in _lines(job)]
    rows[len(_lines(rates)) : len(_lines(rates))] = [_product_row(runs, job) for job in jobs[1:-1] if job.is_good]
    return rows, jobs


def _product_jobs(runs: Runs) -> list[Job]:
    """`train.py` with default settings but for the batch: its data loading, validation's pauses left out."""
    sizes = ("data.source.num_train=64", "model.image_size=64", "data.batch_size=8")
    if not runs.quick:
        sizes = ("data.source.num_train=4096", "model.image_size=224", "data.batch_size=128")
    epochs = {"feature_extraction": 20, "partial_fine_tune": 10, "full_fine_tune": 4}
    return [
        runs.train(
            f"speed_{strategy}", f"strategy={strategy}", "data=photo_crops", "data.augment=none", *sizes,
            f"trainer.max_epochs={2 if runs.quick else count}",
        )
        for strategy, count in epochs.items()
    ]  # fmt: skip


def _product_row(runs: Runs, job: Job) -> Row:
    record = runs.record(job.name)
    cost, settings = record["cost"], record["settings"]
    cached = f", cache filled in {record['cache']['seconds']:.1f} s" if record["cache"]["used"] else ""
    label = (
        f"{record['strategy']['name']}, batch {settings['data.batch_size']}: train.py, "
        f"{record['data']['num_train']:,} images, {settings['trainer.max_epochs']} epochs fitted in "
        f"{cost['fit_s']:.1f} s{cached}, {cost['wall_s']:.0f} s in all"
    )
    return {
        "model": record["model"]["name"], "size": settings["model.image_size"], "name": label,
        "images_per_s": round(cost["images_per_s"], 1), "peak_bytes": cost["peak_memory_bytes"],
        "cost": cost, "cache": record["cache"],
    }  # fmt: skip


def _lines(job: Job) -> list[Row]:
    """Rows that the job printed, also where it was killed later."""
    return [json.loads(line) for line in job.output.splitlines() if line.startswith("{")]


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| model, pixels | what | images/s | least to greatest | peak memory |", "|---|---|---:|---:|---:|"]
    for row in rows:
        if "error" in row:
            lines.append(f"| {row['model']} | {row['name']} | failed | {row['error']} | |")
            continue
        peak, least = row.get("peak_bytes"), row.get("least")
        spread = "" if least is None or least == row["greatest"] else f"{least:,.0f} to {row['greatest']:,.0f}"
        memory = "" if peak is None else f"{peak / 1e6:,.0f} MB"
        where = f"{row['model']}, {row['size']}"
        lines.append(f"| {where} | {row['name']} | {row['images_per_s']:,.0f} | {spread} | {memory} |")
    return "\n".join(lines)


def logs(folder: Path) -> str:
    """The output of all jobs, one after the other."""
    texts = {path.stem: path.read_text(encoding="utf-8", errors="replace") for path in sorted(folder.glob("*.log"))}
    return "\n".join(f"==== {name}\n{text}" for name, text in texts.items())
