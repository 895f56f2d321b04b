"""Cut one model of every timm family at every stage and compare with the whole; write docs/backbones.md.

python scripts/evidence/survey_backbones.py     # about 5 minutes on 2 CPU cores, random weights, offline
"""

import gc
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

import timm
import torch

from thawline.errors import UserError
from thawline.markdown import markdown_table
from thawline.models.backbone import build_backbone

DOCS = Path(__file__).resolve().parents[2] / "docs"
SMALL_WORDS = (
    "atto",
    "femto",
    "pico",
    "nano",
    "xxs",
    "xx_small",
    "xs",
    "tiny",
    "small",
    "_s",
    "18",
    "b0",
    "lite0",
    "m1",
)
MAX_SIDE = 288  # pixels; families whose models all want larger images are left out for time


@dataclass(frozen=True)
class Finding:
    """One family: the model tried, its number of stages, and what came of it."""

    family: str
    model: str
    num_stages: int
    outcome: str


def main() -> None:
    """Survey every family and write the table."""
    findings = []
    for family in timm.list_modules():
        names = [n for n in timm.list_models(module=family) if _side(n) <= MAX_SIDE and not n.startswith("test_")]
        if names:
            findings.append(survey(family, smallest(names)))
            print(findings[-1], flush=True)
            gc.collect()
    (DOCS / "backbones.md").write_text(report(findings))


def _side(name: str) -> int:
    size = timm.get_pretrained_cfg_value(name, "input_size") or (3, 224, 224)
    return int(size[-1])


def smallest(names: Iterable[str]) -> str:
    """The model whose name promises the least work: the earliest of `SMALL_WORDS`, then the shortest name."""
    return min(names, key=lambda n: (next((i for i, w in enumerate(SMALL_WORDS) if w in n), len(SMALL_WORDS)), len(n)))


def survey(family: str, name: str) -> Finding:
    """Cut `name` everywhere and compare."""
    torch.manual_seed(0)
    try:
        backbone = build_backbone(name, weights="none").eval()
    except (UserError, RuntimeError, TypeError, AttributeError, AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0] if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return Finding(family, name, 0, reason)
    images = torch.randn(2, 3, backbone.input.size, backbone.input.size).to(memory_format=torch.channels_last)
    with torch.no_grad():
        whole, x = backbone.model(images), images
        exact = True
        for cut in range(backbone.num_stages + 1):
            exact &= torch.equal(backbone.suffix(x, cut), whole)
            if cut < backbone.num_stages:
                x = backbone.stages[cut].forward(backbone.model, x)
    return Finding(family, name, backbone.num_stages, "exact" if exact else "differs")


def report(findings: list[Finding]) -> str:
    """The findings as Markdown."""
    exact = [f for f in findings if f.outcome == "exact" and f.num_stages > 1]
    lines = [
        "# Which backbones can be cut",
        "",
        f"One model of each of timm's {len(findings)} families with images up to {MAX_SIDE} pixels, random weights: "
        f"{len(exact)} are cut into two or more stages, and prefix plus suffix equals the whole model bit by bit at "
        "every cut.",
        f"timm {version('timm')}, torch {version('torch')}, CPU, {date.today().isoformat()}. "
        "`python scripts/evidence/survey_backbones.py`",
        "",
        markdown_table(
            ["family", "model", "stages", "prefix + suffix"],
            [(f.family, f.model, str(f.num_stages or "-"), f.outcome) for f in findings],
            align="llrl",
        ),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
