"""Small charts as SVG: they scale with the page, and take their colours from its style sheet.

They are not drawn by matplotlib, which takes 1.4 s for the seven charts of 50 runs (0.7 s without a text for the
pointer at every point) and twice the bytes. This module takes 0.02 s.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 420, 260  # of the drawing; about what it measures on the page, a phone's included
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 12, 44
_TICKS = 5
NUM_COLOURS = 8  # classes c0 to c7 of the style sheet
_Place = Callable[[float, float], tuple[float, float]]  # (x, y) in data units -> place on the drawing


@dataclass(frozen=True)
class Point:
    """A point, the bounds of its y or None, and the text that the pointer shows."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    title: str = ""


@dataclass(frozen=True)
class Series:
    """Points of one colour; a line may join them, and each may have a dot."""

    name: str
    points: Sequence[Point]
    colour: int = 0
    joined: bool = True
    dotted: bool = True


def chart(
    series: Sequence[Series], *, x_label: str, y_label: str, x_names: Sequence[str] | None = None, log_x: bool = False
) -> str:
    """One chart as an `<svg>` element.

    Args:
        x_names: Names of x = 0, 1, and so on, instead of numbers.
        log_x: Whether the x axis is logarithmic; every x must be > 0 then.
    """
    points = [point for line in series for point in line.points]
    assert points, "nothing to draw"
    place_x = (lambda x: math.log10(x)) if log_x else (lambda x: x)
    xs = _span([place_x(point.x) for point in points])
    ys = _span([y for p in points for y in (p.y, p.low, p.high) if y is not None])

    def at(x: float, y: float) -> tuple[float, float]:
        across = (place_x(x) - xs[0]) / (xs[1] - xs[0])
        up = (y - ys[0]) / (ys[1] - ys[0])
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        *(_across(at(tick, ys[0])[0], name) for tick, name in _x_ticks(xs, x_names, log_x=log_x)),
        *(_up(at(points[0].x, tick)[1], name) for tick, name in _named(_ticks(*ys))),
        *(_drawn(line, at) for line in series),
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text x="12" y="{_HEIGHT / 2}" text-anchor="middle" '
        f'transform="rotate(-90 12 {_HEIGHT / 2})">{escape(y_label)}</text>',
    ]
    title = escape(f"{y_label} against {x_label}")
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>'


def _x_ticks(span: tuple[float, float], names: Sequence[str] | None, *, log_x: bool) -> list[tuple[float, str]]:
    """Places along x and what is written there."""
    if names is not None:
        return [(float(number), name) for number, name in enumerate(names)]
    return [(tick, _number(tick)) for tick in _log_ticks(*span)] if log_x else _named(_ticks(*span))


def _drawn(series: Series, at: _Place) -> str:
    colour = f"c{series.colour % NUM_COLOURS}"
    parts = []
    if series.joined and len(series.points) > 1:
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(point.x, point.y) for point in series.points))
        parts.append(f'<polyline class="{colour}" points="{places}"/>')
    for point in series.points if series.dotted else ():
        x, y = at(point.x, point.y)
        if point.low is not None and point.high is not None:
            low, high = at(point.x, point.low)[1], at(point.x, point.high)[1]
            parts.append(f'<line class="{colour}" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
        title = escape(point.title or series.name)
        parts.append(f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{title}</title></circle>')
    return "".join(parts)


def _across(x: float, name: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{escape(name)}</text>'


def _up(y: float, name: str) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>'
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The range of the values with a margin."""
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.5 * abs(high) or 0.5
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between `low` and `high`."""
    rough = (high - low) / _TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = min((unit * power for unit in (1, 2, 5, 10)), key=lambda unit: abs(unit - rough))
    first = math.ceil(low / step)
    return [round(number * step, 12) for number in range(first, math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between 10**low and 10**high; round numbers if there are fewer than two."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    steps = (1,) if high - low > 3 else (1, 2, 5)
    ticks = [step * 10.0**power for power in powers for step in steps if low <= math.log10(step) + power <= high]
    return ticks if len(ticks) > 1 else _ticks(10**low, 10**high)


def _named(ticks: Sequence[float]) -> list[tuple[float, str]]:
    """Ticks with their names, all with the same number of digits after the point: 0.68, 0.70."""
    names = [_number(tick) for tick in ticks]
    if any("e" in name for name in names):
        return list(zip(ticks, names, strict=True))
    digits = max((len(name.partition(".")[2]) for name in names), default=0)
    return [(tick, f"{tick:.{digits}f}") for tick in ticks]


def _number(value: float) -> str:
    return f"{value:.4g}"
