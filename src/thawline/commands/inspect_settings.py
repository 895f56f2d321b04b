"""Settings of a run that say how images are read, for an inspection of them: as the messages write them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from thawline.data.sources.table_rows import COLUMNS
from thawline.errors import UserError

if TYPE_CHECKING:
    from thawline.inspection.listing import Reading  # imports torch; --help does without

KEYS = ("data.class_level", "data.leave_out", *(f"data.columns.{column}" for column in COLUMNS))


def reading_of(words: Sequence[str], *, table: bool) -> "Reading":
    """From `data.class_level=N`, `data.leave_out=[NAME,...]` and `data.columns.COLUMN=NAME`.

    Args:
        table: Whether a table is read, which has columns and no levels.
    Raises:
        UserError: Another setting, or another value.
    """
    from thawline.inspection.listing import Reading

    level, leave_out, columns = None, None, {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in KEYS:
            raise UserError(f"{word}: not known here; allowed are DIR and {', '.join(KEYS)}, each with =VALUE")
        if key.startswith("data.columns.") != table:
            raise UserError(f"{word}: has no effect on {'a table' if table else 'a folder'}; leave it out")
        if key == "data.class_level":
            if not value.isdecimal():
                raise UserError(f"{word}: give a whole number, the level of the folders that are the classes")
            level = int(value)
        elif key == "data.leave_out":
            leave_out = _names(word, value)
        else:
            columns[key.removeprefix("data.columns.")] = value
    return Reading(level, leave_out, columns, tuple(words))


def _names(word: str, value: str) -> list[str]:
    """As a run reads the word: names with commas stand in quotes."""
    from hydra.core.override_parser.overrides_parser import OverridesParser  # slow to load
    from hydra.errors import HydraException

    try:
        names = OverridesParser.create().parse_override(word).value()
    except HydraException:
        names = None
    if not isinstance(names, list):
        raise UserError(f"{word}: give a list, data.leave_out=[{value}]")
    return list(map(str, names))
