"""What each way of fine-tuning a transformer trains, keeps in memory and costs: the table of docs/transformers.md.

python scripts/evidence/tuning_cost.py --model vit_tiny_patch16_224

The weights are random, since only the costs are measured: parameters, bytes and operations do not depend on them.
"""

import argparse
import tempfile

import thawline
from thawline.markdown import markdown_table
from thawline.report.run_record import RunRecord

_WAYS = {  # name -> overrides; depth 3 is that of scenario=small_different
    "head only": ["strategy=feature_extraction"],
    "biases": ["strategy=bias_tuning"],
    "norms": ["strategy=norm_tuning"],
    "LoRA, rank 8": ["strategy=lora"],
    "last 3 stages": ["strategy=partial_fine_tune", "strategy.unfreeze_depth=3"],
    "last 3 stages, LoRA": ["strategy=lora", "strategy.unfreeze_depth=3"],
    "all": ["strategy=full_fine_tune"],
}
_BATCH = 8  # images of a step
_TINY = [
    "scenario=small_different", "model.weights=none", "trainer.accelerator=cpu", "trainer.precision=32-true",
    "trainer.max_steps=2", "+trainer.limit_val_batches=1", "+trainer.limit_test_batches=1", "cache.enabled=false",
    "projector=0",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vit_tiny_patch16_224", help="a name of timm; default %(default)s")
    given = parser.parse_args()
    rows = [_row(name, _run(given.model, more)) for name, more in _WAYS.items()]
    heads = [
        "",
        "trained",
        "share",
        "optimizer state, MB",
        f"saved activations of {_BATCH} images, MB",
        "GFLOP an image",
    ]
    print(markdown_table(heads, rows))


def _run(model: str, more: list[str]) -> RunRecord:
    with tempfile.TemporaryDirectory() as folder:
        return thawline.train(
            [*_TINY, f"data.batch_size={_BATCH}", f"model.name={model}", *more, f"output_dir={folder}"]
        )


def _row(name: str, record: RunRecord) -> list[str]:
    cost, trained, total = record.cost, record.params.trainable, record.params.total
    flops = cost.forward_flops + cost.backward_flops
    sizes = [f"{size / 1e6:.1f}" for size in (cost.optimizer_state_bytes, cost.saved_activation_bytes)]
    return [name, f"{trained:,}", f"{trained / total:.2%}", *sizes, f"{flops / 1e9:.1f}"]


if __name__ == "__main__":
    main()
