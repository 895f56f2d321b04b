"""The guidelines' matrix: size of the dataset, similarity to the source, and what it says for each cell."""

# Source: the guidelines of transfer learning that the matrix states (README.md, "Change something").
SMALL = 1_000  # training images; below it a dataset is small
LARGE = 100_000  # training images; above it a dataset is large
# Domain distance below which a target counts as similar to the source. Set after measuring on three backbones
# (docs/distance.md): photographs lie at 0.04 to 0.06, crops of them, inverted ones too, at 0.16 to 0.23; the next,
# crops at a low resolution, at 0.31 to 0.43.
SIMILAR = 0.25


def is_similar(distance: float | None) -> bool:
    """Whether images are similar to those that the backbone was trained on; False if the distance is not known."""
    return distance is not None and distance < SIMILAR


def cell_of(num_train: int, distance: float | None) -> str:
    """The cell, such as `small_different`; `medium_...` lies between the two sizes."""
    size = "small" if num_train < SMALL else "large" if num_train > LARGE else "medium"
    return f"{size}_{'similar' if is_similar(distance) else 'different'}"


def guideline(cell: str) -> tuple[str, int | None]:
    """Strategy and depth (None: every stage) that the matrix has for a cell; between the sizes, those for small."""
    return {
        "small_similar": ("feature_extraction", 0),
        "medium_similar": ("feature_extraction", 0),
        "small_different": ("partial_fine_tune", 2),
        "medium_different": ("partial_fine_tune", 2),
    }.get(cell, ("full_fine_tune", None))


def size_note(scenario: str, num_train: int) -> str | None:
    """One sentence if the number of training images contradicts the scenario's name, else None."""
    if scenario.startswith("small") and num_train >= SMALL:
        size = f"fewer than {SMALL:,}"
    elif scenario.startswith("large") and num_train <= LARGE:
        size = f"more than {LARGE:,}"
    else:
        return None
    between = "; between the two the matrix is silent" if SMALL <= num_train <= LARGE else ""
    return f"{scenario} is meant for {size} training images, here are {num_train:,}{between}"
