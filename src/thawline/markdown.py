"""A table of GitHub's Markdown."""

from collections.abc import Iterable, Sequence

_RULES = {"l": "---", "r": "---:", "c": ":---:"}


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, align: str = "") -> str:
    """Lines without a last line break.

    Args:
        align: A letter per column, `l`, `r` or `c`. By default the first is aligned to the left, all others, for
            numbers, to the right.
    Raises:
        ValueError: Another number of columns than of letters or of cells.
    """
    rule = [_RULES[letter] for letter in align or "l" + "r" * (len(heads) - 1)]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (heads, rule, *rows)]
    if any(len(line) != len(heads) for line in lines):
        raise ValueError(f"a table of {len(heads)} columns has lines of other lengths: {sorted(set(map(len, lines)))}")
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
