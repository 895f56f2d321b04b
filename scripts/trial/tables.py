"""What was found, as Markdown."""

import statistics
from collections.abc import Iterable, Sequence

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
        own = cell.accuracy(cell.guideline)
        images = f"{cell.any_record.data['num_train']:,} images, {cell.any_record.data['name']}"
        rows.append(
            [f"`{cell.name}`: {images}", cell.guideline, own.text(), _best(cell), _verdict(cell), cell.best(VALIDATION)]
        )
    heads = ["cell", "guideline", "its test accuracy", "the best", "the guideline", "best on validation images"]
    return _table(heads, rows, right=())


def _best(cell: Cell) -> str:
    return "the same" if cell.best() == cell.guideline else f"{cell.best()}: {cell.accuracy(cell.best()).text()}"


def _verdict(cell: Cell) -> str:
    if cell.best() == cell.guideline:
        second = max((s for s in STRATEGIES if s != cell.best()), key=lambda s: cell.accuracy(s).mean)
        ahead = cell.behind(second)
        sure = ahead.low is not None and ahead.low > 0
        return f"wins, {_points(ahead.mean)} ahead of {second}{'' if sure else ', within the spread of the seeds'}"
    behind = cell.behind(cell.guideline)
    sure = behind.low is not None and behind.low > 0
    return f"{_points(behind.mean)} behind{'' if sure else ', within the spread of the seeds'}"


def accuracies(cells: Sequence[Cell]) -> str:
    """Test accuracy of every strategy in every cell; the best in bold."""
    rows = []
    for strategy in STRATEGIES:
        texts = [(cell, cell.accuracy(strategy).text()) for cell in cells]
        rows.append([f"`{strategy}`", *(f"**{text}**" if cell.best() == strategy else text for cell, text in texts)])
    return _table(["strategy", *(cell.name for cell in cells)], rows)


def savings(cells: Sequence[Cell]) -> str:
    """How many times as much full fine-tuning needs as feature extraction."""
    rows = []
    for label, key in _RATIOS:
        ratios = [cell.cost("full_fine_tune", key) / cell.cost("feature_extraction", key) for cell in cells]
        rows.append([label, *(f"{ratio:,.0f}x" if ratio >= 10 else f"{ratio:.1f}x" for ratio in ratios)])
    return _table(["full fine-tuning over feature extraction", *(cell.name for cell in cells)], rows)


def convergence(cell: Cell) -> str:
    """Validation accuracy by step, from pretrained and random weights; when one reaches what the other ends at."""
    steps, pretrained = cell.curve("full_fine_tune")
    others, random = cell.curve("from_scratch")
    rows = [
        [label, *(f"{statistics.mean(values):.3f}" for values in zip(*curves, strict=True))]
        for label, curves in (("pretrained weights", pretrained), ("random weights", random))
    ]
    table = _table(["validation accuracy after", *(f"{step:.0f} steps" for step in steps)], rows)
    level = statistics.mean(own[-1] for own in random)
    reached = steps_to(steps, pretrained, level)
    when = f"after {reached:.0f} steps or fewer" if reached else "nowhere"
    return f"{table}\n\nWhat random weights reach after {others[-1]:.0f} steps, pretrained ones have reached {when}."


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] | None = None) -> str:
    """Markdown; columns from the second on are right-aligned, or those of `right`."""
    aligned = range(1, len(head)) if right is None else right
    rule = ["---:" if index in aligned else "---" for index in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
