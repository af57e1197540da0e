"""Curves of many runs over each other, as SVG inside a page."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 8, 34  # room for the numbers at the axes
MOST_POINTS = 200  # of a line
LARGEST = 1e300  # value that is drawn; differences of larger ones may not be finite
COLORS = 6  # .c0 to .c5 of the page; then the same ones dashed
# The figures of metrics.csv, each in a chart, with what is on the horizontal axis.
CURVES = {"val/accuracy": "epoch", "val/loss": "epoch", "train/accuracy": "epoch", "train/loss": "epoch"}
RATES = ("train/lr", "lr")

Points = Sequence[tuple[float, float]]


class Line(NamedTuple):
    """A curve."""

    label: str
    style: str
    """The classes of the page's style."""
    points: Points


def line_style(place: int) -> str:
    """The style of the group at a place of the table; the first twelve can be told apart."""
    if place >= 2 * COLORS:
        return "rest"
    return f"c{place % COLORS}" + (" dash" if place >= COLORS else "")


def points(rows: Iterable[Mapping[str, str]], name: str, axis: str) -> Points:
    """The values of a figure over the epochs or steps, at most 200 of them, without those that no axis can show."""
    every = [(_number(row[axis]), _number(row[name])) for row in rows if row.get(name) and row.get(axis)]
    finite = [point for point in every if all(abs(value) < LARGEST for value in point)]  # nan is left out, too
    step = -(-len(finite) // MOST_POINTS) or 1
    return finite[:-1:step] + finite[-1:]


def chart(name: str, axis: str, lines: Sequence[Line]) -> str:
    """A figure element with all lines over each other; empty if they have no points. The first ones are on top."""
    factor, unit = (100, " %") if "accuracy" in name else (1, "")
    lines = [Line(label, style, [(x, factor * y) for x, y in line]) for label, style, line in lines if line]
    if not lines:
        return ""
    xs, ys = ([point[place] for line in lines for point in line.points] for place in (0, 1))
    across, up = Scale(min(xs), max(xs), LEFT, WIDTH - RIGHT), Scale(min(ys), max(ys), HEIGHT - BOTTOM, TOP)
    parts = [*_vertical_axis(up, unit), *_horizontal_axis(across, axis)]
    for line in reversed(lines):
        places = [(across(x), up(y)) for x, y in line.points]
        parts.append(f'<path class="{line.style}" d="{_path(places)}"><title>{escape(line.label)}</title></path>')
    picture = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)}">{"".join(parts)}</svg>'
    return f"<figure><figcaption>{escape(name)}</figcaption>{picture}</figure>"


def ticks(low: float, high: float, smallest_step: float = 0, count: int = 5) -> list[float]:
    """About `count` round numbers from low to high, with at least `smallest_step` between them; at least one."""
    if not high > low:
        return [low]
    rough = max((high - low) / count, smallest_step)
    if not rough:  # the step would be too small for a number
        return [low]
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit > 0.8 * rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(f"{place * step:.12g}") for place in range(first, last + 1)] or [low]


class Scale(NamedTuple):
    """Places the numbers from low to high between two ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        if self.high == self.low:
            return (self.start + self.end) / 2
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)


def _vertical_axis(up: Scale, unit: str) -> Iterator[str]:
    for value in ticks(up.low, up.high):
        yield f'<path class="grid" d="M{LEFT} {up(value):.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{up(value) + 4:.1f}" text-anchor="end">{value:g}{unit}</text>'


def _horizontal_axis(across: Scale, axis: str) -> Iterator[str]:
    for value in ticks(across.low, across.high, smallest_step=1):  # epochs and steps are whole numbers
        yield f'<text x="{across(value):.1f}" y="{HEIGHT - 18}" text-anchor="middle">{value:g}</text>'
    yield f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 3}" text-anchor="middle">{axis}</text>'


def _path(places: Points) -> str:
    start, *others = (f"{x:.1f} {y:.1f}" for x, y in places)
    return f"M{start}" + ("L" + " ".join(others) if others else "h0")  # h0 with a round end is a dot


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
