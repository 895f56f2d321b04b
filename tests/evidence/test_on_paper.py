"""Tables that are computed and not measured: by hand, and equal to those in the documentation."""

from pathlib import Path

import pytest
import timm
import torch

import hundred_million
import sharding_memory
from sharding_memory import needs, sizes

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_memory_of_a_training_by_hand() -> None:
    """Weights 4 bytes, AdamW 8; a gradient 4, and 4 more for the copy that DDP sends."""
    of = needs(total=1_000, trained=100)
    assert (of.weights, of.gradients, of.state, of.with_ddp) == (4_000, 400, 800, 5_600)


def test_a_small_transformer_by_hand() -> None:
    """ViT-Tiny: 192 wide, 12 blocks; adapters beside qkv (192 -> 576) and proj (192 -> 192)."""
    with torch.device("meta"):
        model = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    block = 2 * 2 * 192 + 192 * 576 + 576 + 192 * 192 + 192 + 2 * 192 * 768 + 768 + 192
    adapters = 12 * 8 * (192 + 576 + 192 + 192)
    total = 12 * block + (3 * 256 + 1) * 192 + (197 + 1) * 192 + 2 * 192
    assert sizes(model) == {
        "all": (total, total),
        "last 4 blocks": (total, 4 * block),
        "LoRA, rank 8": (total + adapters, adapters),
    }


def test_the_page_on_transformers_shows_what_the_script_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding_memory, "MODELS", {"ViT-L/16": sharding_memory.MODELS["ViT-L/16"]})  # the quickest
    text = (DOCS / "transformers.md").read_text(encoding="utf-8")
    assert all(f"| {' | '.join(row)} |" in text for row in sharding_memory.rows())


def test_the_page_on_images_shows_what_the_script_prints() -> None:
    text = (DOCS / "images.md").read_text(encoding="utf-8")
    assert all(f"| {' | '.join(row)} |" in text for row in hundred_million.rows())


def test_the_pieces_are_those_that_the_pages_state() -> None:
    images, gpu = ((DOCS / name).read_text(encoding="utf-8") for name in ("images.md", "gpu.md"))
    assert "| lists of the shards read, index stored | 57 | 621 MB |" in images
    assert "The process held 572 MB before" in images
    assert "| stored index read | 0.5 | 626 MB |" in images
    assert "about 0.84 kB an image" in (DOCS / "cache.md").read_text(encoding="utf-8")
    assert "| 200,000 | first | 66.1 | 3,027 | 83.7 | 378 |" in images
    assert "| 500 x 375 | in full | 337 | 3.0 | 1.0 |" in images
    assert "The pass that fills the store reached 4,988 images/s" in gpu
    assert "full fine-tune, batch 128: Thawline's step from bytes | 3,858 |" in gpu
