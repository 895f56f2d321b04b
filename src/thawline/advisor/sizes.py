"""The size axis of the transfer matrix: the number of images of a small and of a large dataset."""

# Source: the guidelines of transfer learning that the matrix states (README.md, "Change something").
SMALL = 1_000  # training images; below it a dataset is small
LARGE = 100_000  # training images; above it a dataset is large


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
