"""Where the marks of a component's failure rate by week stand: plain geometry, drawn by the template."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from reports.comparisons import TOO_FEW
from reports.marks import NOT_COLLECTED, TOO_FEW_TO_SAY
from reports.tables import NOTHING, percent_text, records
from reports.window import Week

WIDTH, HEIGHT = 620, 150
_LEFT, _TOP, _BOTTOM = 44, 10, 24


@dataclass(frozen=True)
class Bar:
    """One week: its rate with the interval, or (`y` None) a week in which nothing of it finished, or was collected."""

    label: str
    text: str
    x: float
    y: float | None
    low_y: float
    high_y: float
    is_collected: bool = True


@dataclass(frozen=True)
class Bars:
    """A chart of weeks, the oldest first; `lines` are the heights of the lines across with their texts."""

    bars: tuple[Bar, ...]
    lines: tuple[tuple[float, str], ...]
    labels: tuple[tuple[float, str], ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    bottom: int = HEIGHT - _BOTTOM


def week_bars(rates: pd.DataFrame, weeks: Sequence[Week], unarchived: Collection[str] = ()) -> Bars:
    """Place the failure rates by week on a scale from 0 to the least whole tenth above the longest interval.

    Of the weeks in `unarchived` nothing is known but what was seen later.
    """
    known = {row["week"]: row for row in records(rates) if row["finished"]}
    shown = [known[week.label] for week in weeks if week.label in known]
    top = max((math.ceil(row["ci_high"] * 10) / 10 for row in shown), default=1.0)
    step = (WIDTH - _LEFT) / max(len(weeks), 1)

    def height_of(rate: float) -> float:
        return round(HEIGHT - _BOTTOM - rate / top * (HEIGHT - _TOP - _BOTTOM), 1)

    bars = []
    for index, week in enumerate(weeks):
        row = known.get(week.label)
        x = round(_LEFT + (index + 0.5) * step, 1)
        if row is None:
            is_collected = week.label not in unarchived
            words = "nothing finished" if is_collected else NOT_COLLECTED
            bars.append(Bar(week.label, f"{week.label}: {words}", x, None, height_of(0), height_of(0), is_collected))
            continue
        low, high = row["ci_low"], row["ci_high"]
        said = f"{week.label}: {row['failed']:,} of {row['finished']:,} failed, {percent_text(row['failure_rate'])}"
        few = f", {TOO_FEW_TO_SAY}" if row["finished"] < TOO_FEW else ""
        text = f"{said} ({low * 100:.1f}{NOTHING}{high * 100:.1f} %){few}"
        bars.append(Bar(week.label, text, x, height_of(row["failure_rate"]), height_of(low), height_of(high)))
    lines = tuple((height_of(top * part), f"{top * part * 100:.0f} %") for part in (0.0, 0.5, 1.0))
    # Every fourth week has its label, counted from the newest.
    labels = tuple((bar.x, bar.label[5:]) for place, bar in enumerate(reversed(bars)) if place % 4 == 0)
    return Bars(tuple(bars), lines, labels)
