"""Where the marks of a small weekly chart stand: plain geometry, drawn by the template."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 4, 12, 26


@dataclass(frozen=True)
class Mark:
    """One week: a dot with a range, or the sign that nothing happened or nothing was collected."""

    label: str
    text: str
    state: str  # value, nothing or uncollected
    x: float
    y: float
    low_y: float
    high_y: float


@dataclass(frozen=True)
class Chart:
    """A chart of weeks: its marks, and the height and text of each line across."""

    title: str
    summary: str
    marks: tuple[Mark, ...]
    lines: tuple[tuple[float, str], ...]
    step: float
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


@dataclass(frozen=True)
class Point:
    """What one week shows: its value and the range around it (None: nothing), and if it was collected."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    is_collected: bool


def week_chart(title: str, points: Sequence[Point], write: Callable[[float], str], *, at_most: float) -> Chart:
    """Place the points on a scale from 0 to a round number above the largest, `at_most` at the highest."""
    largest = max((point.high for point in points if point.high is not None), default=0.0)
    top = min(round_above(largest), at_most)
    step = (WIDTH - _LEFT - _RIGHT) / max(len(points), 1)

    def height_of(value: float | None) -> float:
        share = min((value or 0.0) / top, 1.0)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)

    marks = tuple(
        Mark(
            label=point.label,
            text=_text(point, write),
            state=_state(point),
            x=round(_LEFT + (index + 0.5) * step, 1),
            y=height_of(point.value),
            low_y=height_of(point.low),
            high_y=height_of(point.high),
        )
        for index, point in enumerate(points)
    )
    lines = tuple((height_of(top * part / 4), write(top * part / 4)) for part in (0, 1, 2, 3, 4))
    return Chart(title, "; ".join(mark.text for mark in marks), marks, lines, round(step, 1))


def _state(point: Point) -> str:
    if point.value is not None:
        return "value"
    return "nothing" if point.is_collected else "uncollected"


def _text(point: Point, write: Callable[[float], str]) -> str:
    if point.value is None:
        return f"{point.label}: {'nothing' if point.is_collected else 'not collected'}"
    low, high = point.low or 0.0, point.high if point.high is not None else point.value
    return f"{point.label}: {write(point.value)} ({write(low)} to {write(high)})"


def round_above(value: float) -> float:
    """Return the least of 1, 2, 4 or 8 times a power of ten that is not below a value; 1 for none.

    >>> [round_above(value) for value in (0.0, 0.13, 47.0, 800.0)]
    [1.0, 0.2, 80.0, 800.0]
    """
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 4, 8, 10) if factor * power >= value * (1 - 1e-12))
