"""What was found, as Markdown."""

import statistics
from collections.abc import Sequence

from thawline.markdown import markdown_table
from trial.cells import STRATEGIES, VALIDATION, Cell, steps_to

_RATIOS = (  # of full fine-tuning over feature extraction
    ("time, and so the price", "wall_s"),
    ("time of the fit", "fit_s"),
    ("FLOPs of the fit", "train_flops"),
    ("peak memory of the process", "peak_memory_bytes"),
    ("activations kept for the backward pass", "saved_activation_bytes"),
    ("optimizer state", "optimizer_state_bytes"),
)


def verdicts(cells: Sequence[Cell]) -> str:
    """One row per cell: does its guideline hold?"""
    rows = []
    for cell in cells:
        accuracy = cell.accuracy(cell.guideline)
        images = f"{cell.any_record.data.num_train:,} images, {cell.any_record.data.name}"
        rows.append(
            [
                f"`{cell.name}`: {images}",
                cell.guideline,
                accuracy.text(),
                _best(cell),
                _verdict(cell),
                cell.best(VALIDATION),
            ]
        )
    heads = ["cell", "guideline", "its test accuracy", "the best", "the guideline", "best on validation images"]
    return markdown_table(heads, rows, align="l" * len(heads))


def _best(cell: Cell) -> str:
    return "the same" if cell.best() == cell.guideline else f"{cell.best()}: {cell.accuracy(cell.best()).text()}"


def _verdict(cell: Cell) -> str:
    best, second, *_ = cell.ranking()
    wins = best == cell.guideline
    lead = cell.behind(second if wins else cell.guideline)
    unsure = "" if lead.low is not None and lead.low > 0 else ", within the spread of the seeds"
    points = f"{100 * lead.mean:.1f} points"
    if points == "0.0 points":
        return f"level with {second if wins else best}"
    return f"wins, {points} ahead of {second}{unsure}" if wins else f"{points} behind{unsure}"


def accuracies(cells: Sequence[Cell]) -> str:
    """Test accuracy of every strategy in every cell; the best in bold, and what ties with it in three digits."""
    rows = []
    for strategy in STRATEGIES:
        texts = [(cell, cell.accuracy(strategy).text()) for cell in cells]
        rows.append([f"`{strategy}`", *(f"**{text}**" if _ties(cell, strategy) else text for cell, text in texts)])
    return markdown_table(["strategy", *(cell.name for cell in cells)], rows)


def _ties(cell: Cell, strategy: str) -> bool:
    shown, best = (f"{cell.accuracy(name).mean:.3f}" for name in (strategy, cell.best()))
    return shown == best


def savings(cells: Sequence[Cell]) -> str:
    """How many times as much full fine-tuning needs as feature extraction."""
    rows = []
    for label, key in _RATIOS:
        ratios = [cell.cost("full_fine_tune", key) / cell.cost("feature_extraction", key) for cell in cells]
        rows.append([label, *(f"{ratio:,.0f}x" if ratio >= 10 else f"{ratio:.1f}x" for ratio in ratios)])
    return markdown_table(["full fine-tuning over feature extraction", *(cell.name for cell in cells)], rows)


def convergence(cell: Cell) -> str:
    """Validation accuracy by step, from pretrained and random weights; when one reaches what the other ends at."""
    steps, pretrained = cell.curve("full_fine_tune")
    others, random = cell.curve("from_scratch")
    rows = [
        [label, *(f"{statistics.mean(values):.3f}" for values in zip(*curves, strict=True))]
        for label, curves in (("pretrained weights", pretrained), ("random weights", random))
    ]
    table = markdown_table(["validation accuracy after", *(f"{step:.0f} steps" for step in steps)], rows)
    level = statistics.mean(curve[-1] for curve in random)
    reached = steps_to(steps, pretrained, level)
    when = f"after {reached:.0f} steps or fewer" if reached else "nowhere"
    return f"{table}\n\nWhat random weights reach after {others[-1]:.0f} steps, pretrained ones have reached {when}."
