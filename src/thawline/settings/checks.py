"""Checks of single values; the message names the key, the value and what is allowed."""

from thawline.errors import UserError


def between(key: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UserError(f"{key}={value}: allowed are {low:g} to {high:g}")


def one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(f"{key}={value}: allowed are {', '.join(allowed)}")


def amount_or_share(key: str, value: int | float) -> None:
    if isinstance(value, float):
        if not 0.0 < value <= 1.0:
            raise UserError(f"{key}={value}: a share lies above 0 and up to 1.0; an amount is a whole number from 1")
    else:
        between(key, value, 1, 1_000_000_000)
