"""model.json as somebody changes it who makes its checksum right again."""

import json
from pathlib import Path
from typing import Any

from thawline.deploy.description_checksum import with_checksum


def read_values(folder: Path) -> dict[str, Any]:
    """All but the checksum."""
    values: dict[str, Any] = json.loads((folder / "model.json").read_text())
    del values["checksum"]
    return values


def write_values(folder: Path, values: dict[str, Any]) -> None:
    (folder / "model.json").write_text(with_checksum(json.dumps(values, indent=1)))
