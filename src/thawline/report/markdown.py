"""A table of GitHub's Markdown."""

from collections.abc import Iterable, Sequence


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    """Lines without a last line break.

    Args:
        numbers: Whether the columns after the first are numbers, which are aligned to the right.
    """
    rule = ["---", *["---:" if numbers else "---"] * (len(heads) - 1)]
    lines = ([cell.replace("|", "\\|") for cell in line] for line in (heads, rule, *rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
