"""Where the configs lie: in the package when it comes from a wheel, else at the top level of the clone."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def conf_folder(package: Path = _PACKAGE) -> Path:
    """The folder of train.yaml; absolute.

    Args:
        package: The folder of `thawline`.
    """
    places = (package / "conf", package.parents[1] / "conf")  # a wheel; a clone, and an editable install of one
    for folder in places:
        if (folder / "train.yaml").is_file():
            return folder
    raise RuntimeError(f"Thawline's configs are missing: there is no train.yaml in {' or '.join(map(str, places))}")
