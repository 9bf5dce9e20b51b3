"""Intervals and trends: Wilson for a rate, Newcombe for a change of rate, Theil-Sen for a slope."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from statistics import NormalDist, median

Z_95 = NormalDist().inv_cdf(0.975)


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of hits out of total; NaN for nothing out of nothing.

    >>> [round(bound, 4) for bound in wilson(1, 10)]
    [0.0179, 0.4042]
    """
    return score_interval(hits / total, total) if total else (math.nan, math.nan)


def score_interval(share: float, size: float, z: float = Z_95) -> tuple[float, float]:
    """Return Wilson's interval of a share of `size` observations, which may be an effective size, and so a fraction."""
    weight = z**2 / size
    centre = (share + weight / 2) / (1 + weight)
    half_width = z * math.sqrt(share * (1 - share) / size + weight / (4 * size)) / (1 + weight)
    low = 0.0 if share == 0 else centre - half_width
    high = 1.0 if share == 1 else centre + half_width
    return low, high


def rate_change(hits: int, total: int, hits_before: int, total_before: int) -> tuple[float, float, float]:
    """Return the change between two rates and its 95 % interval (Newcombe's, from the two Wilson intervals).

    NaN when either rate is unknown. Source: Newcombe 1998, "Interval estimation for the difference between
    independent proportions", method 10.
    """
    if total == 0 or total_before == 0:
        return math.nan, math.nan, math.nan
    return difference(
        hits / total,
        wilson(hits, total),
        hits_before / total_before,
        wilson(hits_before, total_before),
    )


def difference(
    now: float, interval: tuple[float, float], before: float, interval_before: tuple[float, float]
) -> tuple[float, float, float]:
    """Return now - before and its interval, made of the two intervals (Newcombe's method for any of them)."""
    (low, high), (low_before, high_before) = interval, interval_before
    change = now - before
    return (
        change,
        change - math.hypot(now - low, high_before - before),
        change + math.hypot(high - now, before - low_before),
    )


def theil_sen(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Return the Theil-Sen slope of y over distinct x and its 95 % interval (Sen 1968, with ties in y).

    NaN under two points.

    >>> theil_sen([0, 1, 2, 3], [1.0, 3.0, 5.0, 70.0])[0]
    12.5
    """
    if len(x) < 2:
        return math.nan, math.nan, math.nan
    points = sorted(zip(x, y, strict=True))
    slopes = sorted((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2))
    count = len(points)
    ties = sum(k * (k - 1) * (2 * k + 5) for k in Counter(y).values())
    half_width = Z_95 * math.sqrt((count * (count - 1) * (2 * count + 5) - ties) / 18)
    last = len(slopes) - 1
    low = max(round((len(slopes) - half_width) / 2) - 1, 0)
    high = min(round((len(slopes) + half_width) / 2), last)
    return median(slopes), slopes[low], slopes[high]
