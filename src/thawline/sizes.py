"""The transfer matrix's size axis: what counts as a small and as a large target dataset."""

# Source: the guidelines of transfer learning that the matrix states (README.md, "The matrix").
SMALL = 1_000  # images; below it a dataset is small
LARGE = 100_000  # images; above it a dataset is large


def size_note(scenario: str, num_images: int) -> str | None:
    """One sentence where the size of the dataset contradicts the scenario's name, else None."""
    if scenario.startswith("small") and num_images >= SMALL:
        between = "; between the two the matrix is silent" if num_images <= LARGE else ""
        return f"{scenario} is meant for fewer than {SMALL:,} images, this dataset has {num_images:,}{between}"
    if scenario.startswith("large") and num_images <= LARGE:
        between = "; between the two the matrix is silent" if num_images >= SMALL else ""
        return f"{scenario} is meant for more than {LARGE:,} images, this dataset has {num_images:,}{between}"
    return None
