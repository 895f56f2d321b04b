"""The cases by name, in the order of the table."""

from collections.abc import Callable
from typing import Any

from speed.extraction_case import extraction
from speed.fit_cases import depth_sweep, feature_extraction, full_fine_tune, partial_fine_tune
from speed.own_cases import memory, startup
from speed.setting import Setting
from speed.step_case import training_step

CASES: dict[str, Callable[[Setting], dict[str, Any]]] = {
    "feature_extraction": feature_extraction,
    "partial_fine_tune": partial_fine_tune,
    "depth_sweep": depth_sweep,
    "full_fine_tune": full_fine_tune,
    "memory": memory,
    "extraction": extraction,
    "startup": startup,
    "training_step": training_step,
}
