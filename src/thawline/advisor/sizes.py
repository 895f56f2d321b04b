"""The transfer matrix's size axis: what counts as a small and as a large target dataset."""

# Source: the guidelines of transfer learning that the matrix states (README.md, "Change something").
SMALL = 1_000  # training images; below it a dataset is small
LARGE = 100_000  # training images; above it a dataset is large


def size_note(scenario: str, num_train: int) -> str | None:
    """One sentence where the number of training images contradicts the scenario's name, else None."""
    if scenario.startswith("small") and num_train >= SMALL:
        between = "; between the two the matrix is silent" if num_train <= LARGE else ""
        return f"{scenario} is meant for fewer than {SMALL:,} training images, here are {num_train:,}{between}"
    if scenario.startswith("large") and num_train <= LARGE:
        between = "; between the two the matrix is silent" if num_train >= SMALL else ""
        return f"{scenario} is meant for more than {LARGE:,} training images, here are {num_train:,}{between}"
    return None
