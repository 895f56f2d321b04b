"""The case of the pass that fills the cache."""

import shutil
from dataclasses import asdict
from typing import Any

from speed.child import run_module
from speed.row import Row
from speed.setting import Setting

_GOAL = 0.85


def extraction(setting: Setting) -> dict[str, Any]:
    """Images through the frozen stages and into the cache, against the fastest forward pass in the same process."""
    measured = [_once(setting) for _ in range(setting.repeats)]
    best = [max(t["forward"].values()) for t in measured]
    fastest = max(measured[0]["forward"], key=measured[0]["forward"].get)
    count = f"{setting.sizes.extraction_images:,} images in memory"
    kinds = {
        "memory": (f"extraction pass over {count}", _GOAL),
        "memory_steady": (f"extraction pass over {count}, without what happens once", _GOAL),
        "disk": (f"extraction pass over {setting.sizes.num_images} files on disk", None),
    }
    share = sorted(t["disk_decode_share"] for t in measured)[len(measured) // 2]
    rows = [
        Row(
            label,
            "images/s",
            "share",
            thawline=[t[key] for t in measured],
            baseline=best,
            baseline_name=f"forward alone, {fastest}",
            goal=None if goal is None else setting.goal(goal),
            note=f"decoding alone takes {share:.0%} of the pass's time" if key == "disk" else "",
        )
        for key, (label, goal) in kinds.items()
    ]
    return {"rows": [asdict(row) for row in rows], "measured": measured}


def _once(setting: Setting) -> dict[str, Any]:
    folder, sizes = setting.fresh(), setting.sizes
    arguments = (folder, setting.images, sizes.extraction_images, sizes.image_size)
    measured: dict[str, Any] = run_module(
        "extraction", *arguments, env={"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}
    )[0]
    shutil.rmtree(folder)
    return measured
