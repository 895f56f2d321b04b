"""The cases that measure Thawline against itself or a limit: memory, and starting up."""

from dataclasses import asdict
from typing import Any

from speed.child import run
from speed.product_run import train
from speed.row import Row
from speed.setting import Setting

# A step or two are enough: neither number changes after the first.
_SHORT = ("trainer.max_steps=2", "+trainer.limit_val_batches=1", "+trainer.limit_test_batches=1")
_GOALS = {"optimizer_state_bytes": 200.0, "saved_activation_bytes": 1000.0}
_LIMIT_S = 1.5


def memory(setting: Setting) -> dict[str, Any]:
    """Bytes of the optimizer's state and kept for the backward pass, of head-only training against full fine-tuning.

    The numbers are counted, not timed, so one run of each is enough.
    """
    full = train(setting, "strategy=full_fine_tune", *_SHORT).records[0]["cost"]
    from_images = train(setting, "strategy=feature_extraction", "cache.enabled=false", *_SHORT).records[0]["cost"]
    from_cache = train(setting, "strategy=feature_extraction", "cache.enabled=true", *_SHORT).records[0]["cost"]
    rows = [
        Row(
            f"`{key}` of feature extraction, {name}",
            "bytes",
            "less",
            thawline=[cost[key]],
            baseline=[full[key]],
            baseline_name="full fine-tune in Thawline",
            goal=goal,
        )
        for key, goal in _GOALS.items()
        for name, cost in (("from images", from_images), ("from the cache", from_cache))
    ]
    return {"rows": [asdict(row) for row in rows]}


def startup(setting: Setting) -> dict[str, Any]:
    """Wall time of `--help` and `--cfg job`, which need neither torch nor data."""
    commands = (["train.py", "--help"], ["train.py", "--cfg", "job"])
    seconds = [[run(command)[1] for command in commands] for _ in range(setting.repeats)]
    rows = [
        Row(f"`python {' '.join(command)}`", "s", "less", thawline=[s[number] for s in seconds], limit=_LIMIT_S)
        for number, command in enumerate(commands)
    ]
    return {"rows": [asdict(row) for row in rows]}
