"""Time a training step of EfficientNet-Lite0 by depth, arithmetic and allocator; write docs/speed.md and speed.json.

    python scripts/benchmark.py

Both allocator settings run in processes of their own, in turn, several times; the table holds medians.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MODEL = "tf_efficientnet_lite0"
BATCH, STEPS, REPEATS = 32, 5, 3
DEPTHS = (0, 2, 9)
MODES = {"fp32": (False, "32"), "bf16 prefix": (True, "32"), "bf16": (True, "bf16")}
Rates = dict[str, float]


def main() -> None:
    """Measure in child processes, alternating, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", choices=("default", "keep"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(keep=arguments.child == "keep")))
        return
    rows: dict[str, list[Rates]] = {"default": [], "keep": []}
    for _ in range(REPEATS):
        for allocator in rows:
            rows[allocator].append(_child(allocator))
            print(f"{allocator}: {rows[allocator][-1]}", flush=True)
    medians = {a: {case: statistics.median(r[case] for r in rates) for case in rates[0]} for a, rates in rows.items()}
    DOCS.mkdir(exist_ok=True)
    (DOCS / "speed.json").write_text(json.dumps({"machine": _machine(), "images_per_s": medians}, indent=2) + "\n")
    (DOCS / "speed.md").write_text(table(medians))
    print(table(medians))


def _child(allocator: str) -> Rates:
    done = subprocess.run([sys.executable, __file__, "--child", allocator], capture_output=True, text=True, check=True)
    rates: Rates = json.loads(done.stdout.splitlines()[-1])
    return rates


def measure(*, keep: bool) -> Rates:
    """Training images per second: depth and arithmetic -> median over steps, the first step left out."""
    import torch

    from thawline.memory import keep_freed_memory
    from thawline.models.backbone import build_backbone
    from thawline.models.classifier import TransferClassifier
    from thawline.models.freezing import bind
    from thawline.models.heads import LinearHead
    from thawline.settings import OptimSettings, StrategySettings
    from thawline.steps import Steps

    if keep:
        assert keep_freed_memory()
    backbone = build_backbone(MODEL, weights="none")
    images = torch.randint(0, 256, (BATCH, 3, backbone.input.size, backbone.input.size), dtype=torch.uint8)
    labels = torch.randint(0, 4, (BATCH,))
    rates = {}
    for depth in DEPTHS:
        strategy = StrategySettings("benchmark", unfreeze_depth=depth)
        bound = bind(strategy, backbone, LinearHead(backbone.num_features, 4))
        bound.apply(0)
        steps = Steps(batches=100, per_epoch=100, total=100, epochs=1, validate_every=1.0)
        model = TransferClassifier(bound, num_classes=4, optim=OptimSettings(), steps=steps).train()
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
        for mode, (bf16_prefix, suffix) in MODES.items():
            model.prefix_dtype = torch.bfloat16 if bf16_prefix else torch.float32
            seconds = []
            for _ in range(STEPS + 1):
                start = time.perf_counter()
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=suffix == "bf16"):
                    loss = torch.nn.functional.cross_entropy(model(images).float(), labels)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                optimizer.zero_grad()
                seconds.append(time.perf_counter() - start)
            rates[f"{depth}/{mode}"] = round(BATCH / statistics.median(seconds[1:]), 1)
    return rates


def table(medians: dict[str, Rates]) -> str:
    """The measurement as Markdown, with what it means for the defaults."""
    depths = {0: "head only", 2: "last 2 stages", 9: "every stage"}
    lines = [
        "# Speed of a training step",
        "",
        f"Images per second, EfficientNet-Lite0 at 224, batch {BATCH}, channels-last, AdamW: forward, backward, step;",
        f"images in memory. Medians of {REPEATS} alternating processes. {_machine()}.",
        "`python scripts/benchmark.py`",
        "",
        "| trained | allocator | fp32 | frozen prefix in bf16 | everything in bf16 |",
        "|---|---|---:|---:|---:|",
    ]
    for depth, name in depths.items():
        for allocator, label in (("default", "glibc's default"), ("keep", "freed memory kept")):
            cells = " | ".join(f"{medians[allocator][f'{depth}/{mode}']:.0f}" for mode in MODES)
            lines.append(f"| {name} | {label} | {cells} |")
    lines += [
        "",
        "So on a CPU Thawline keeps freed memory (`thawline/memory.py`), and `trainer.precision=auto` computes the",
        "frozen prefix in bf16 and what trains in fp32 (`thawline/precision.py`).",
        "",
    ]
    return "\n".join(lines)


def _machine() -> str:
    import torch

    cores = torch.get_num_threads()
    bf16 = "with" if torch.cpu._is_avx512_bf16_supported() else "without"
    return (
        f"{cores} {platform.machine()} cores {bf16} AVX512-bf16, torch {version('torch')}, timm {version('timm')}, "
        f"Python {platform.python_version()}, {date.today().isoformat()}"
    )


if __name__ == "__main__":
    main()
