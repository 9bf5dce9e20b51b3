"""Exact tests of a change, false-discovery control over many of them, and intervals where plans fail together."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from reports.statistics import Z_95, score_interval

Floats = npt.NDArray[np.float64]

# A rate of fewer than this many is shown, and never judged.
TOO_FEW = 10
# Two tables are equally likely when their probabilities differ by less than rounding can.
_TIE = 1e-9
# A rate of 1 as a whole number: fine enough, and sums of a million plans still fit.
_RATE_ONE = 2**40
# Above so many degrees of freedom Student's quantile is the normal one to three decimals.
_MANY = 1000


def fisher(hits: int, total: int, hits_before: int, total_before: int) -> float:
    """Return the two-sided p-value of Fisher's exact test: are two rates of one underlying rate?

    The sum over all tables with these margins that are no likelier than the one seen. 1 where either total is 0.

    >>> round(fisher(3, 3, 0, 17), 6)
    0.000877
    """
    margin = hits + hits_before
    lowest, highest = max(0, margin - total_before), min(total, margin)
    count = np.arange(lowest, highest, dtype=np.float64)
    # How much likelier each table is than the one with a hit less among the first: the ratio of neighbours.
    more = np.log((total - count) * (margin - count))
    fewer = np.log((count + 1) * (total_before - margin + count + 1))
    return _as_unlikely(more - fewer, hits - lowest)


def poisson_change(count: int, exposure: float, count_before: int, exposure_before: float) -> float:
    """Return the two-sided p-value that two counts come of one rate, given what each was counted over.

    Exact and conditional: of all events, those of the first period are binomial with its share of the exposure.
    Source: Przyborowski and Wilenski 1940. A ValueError where an exposure is not positive.

    >>> round(poisson_change(9, 1, 12, 4), 6)
    0.023637
    """
    if exposure <= 0 or exposure_before <= 0:
        raise ValueError(f"exposures are positive, not {exposure} and {exposure_before}: compare periods that were")
    total = count + count_before
    hits = np.arange(total, dtype=np.float64)
    return _as_unlikely(np.log((total - hits) / (hits + 1)) + math.log(exposure / exposure_before), count)


def _as_unlikely(log_ratios: Floats, seen: int) -> float:
    """Sum the probabilities no greater than the seen one's, of a distribution given by the ratios of neighbours.

    Everything is measured from the seen value outwards, so that a tie on the far side is told from a near one
    however many values there are.
    """
    logs = np.concatenate([-np.cumsum(log_ratios[:seen][::-1])[::-1], [0.0], np.cumsum(log_ratios[seen:])])
    weights = np.exp(logs - logs.max())
    return min(1.0, float(weights[logs <= _TIE].sum() / weights.sum()))


def false_discovery(p_values: Sequence[float]) -> list[float]:
    """Return Benjamini and Hochberg's q-values, in the order given: flag q < 0.05 and 5 % of the flags are false.

    A NaN was not tested: it stays, and does not count among the tests.

    >>> [round(q, 4) for q in false_discovery([0.01, 0.5, 0.02, float("nan")])]
    [0.03, 0.5, 0.03, nan]
    """
    tested = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    q_values = [math.nan] * len(p_values)
    least = 1.0
    for rank in range(len(tested), 0, -1):
        p, place = tested[rank - 1]
        least = min(least, p * len(tested) / rank)
        q_values[place] = least
    return q_values


def clustered_interval(hits: Sequence[int], totals: Sequence[int]) -> tuple[float, float]:
    """Return the 95 % interval of sum(hits) / sum(totals), each pair one plan's; NaN for nothing out of nothing.

    Components of one plan fail together, so that their number overstates what is known. The rate is a ratio of
    plan sums, its variance the cluster-robust one; against the binomial variance that is the design effect
    `deff`, at least 1. Wilson's interval is then taken of n / deff observations, with Student's quantile of
    plans - 1 degrees of freedom: it keeps what makes Wilson sound for small numbers. A variance seen in few plans
    with a hit (or with none that is not) is usually too small: `deff` counts as seen in each of these, and at its
    greatest, that of plans that fail as one, in one plan more. Of one plan, it is the greatest.
    Source: Korn and Graubard 1998, "Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data"; Dean and Pagano 2015 for Wilson's interval in it.

    >>> [round(bound, 3) for bound in clustered_interval([1, 0, 0, 0, 1, 0], [2, 2, 2, 2, 2, 2])]
    [0.027, 0.588]
    >>> [round(bound, 3) for bound in clustered_interval([4, 0, 0, 0], [4, 4, 4, 4])]
    [0.018, 0.855]
    """
    sizes = np.array(totals, dtype=np.float64)
    found = np.array(hits, dtype=np.float64)[sizes > 0]
    sizes = sizes[sizes > 0]
    plans, total = len(sizes), float(sizes.sum())
    if not plans:
        return math.nan, math.nan
    share = float(found.sum()) / total
    greatest = float((sizes**2).sum()) / total
    if plans == 1:
        return score_interval(share, total / greatest)
    variance = plans / (plans - 1) * float(((found - share * sizes) ** 2).sum()) / total**2
    seen = max(1.0, variance / (share * (1 - share) / total)) if 0 < share < 1 else greatest
    telling = int(min(np.count_nonzero(found), np.count_nonzero(found < sizes)))
    deff = (seen * telling + greatest) / (telling + 1)
    return score_interval(share, total / deff, student_quantile(plans - 1))


def plan_permutation(
    hits: Sequence[int],
    totals: Sequence[int],
    hits_before: Sequence[int],
    totals_before: Sequence[int],
    *,
    draws: int = 4_999,
) -> float:
    """Return the two-sided p-value that this week's plans are drawn from the same as the plans before.

    Each pair is one plan's hits and total. Plans are moved between the two whole, so that what happens inside a plan
    is kept as it is. A change must show twice: in this week's surplus of hits over the pooled rate, and in the mean of
    the plans' own rates, where a great plan counts as a small one; so neither one bad plan among small ones nor a
    week of greater plans makes a change. The p-value is twice the smaller tail of `draws` random divisions and the
    one seen, a tail being the greater of the two. The seed is fixed: the same counts give the same answer.
    1 where either side is empty.
    """
    plans, plans_before = len(totals), len(totals_before)
    if not plans or not plans_before:
        return 1.0
    pairs = np.array([[*hits, *hits_before], [*totals, *totals_before]], dtype=np.int64).T
    all_hits, all_total = (int(number) for number in pairs.sum(axis=0))
    # Plans of one pair can't be told apart: a division is how many of each pair fall to this week.
    kinds, place = np.unique(pairs, axis=0, return_inverse=True)
    place = place.ravel()
    counts = np.bincount(place, minlength=len(kinds))
    # In whole numbers, so that equal sums are equal.
    surplus = kinds[:, 0] * all_total - kinds[:, 1] * all_hits
    rates = (kinds[:, 0] * _RATE_ONE) // kinds[:, 1]
    scores = np.column_stack([surplus, rates])
    dice = np.random.default_rng(20_261_116)
    drawn = dice.multivariate_hypergeometric(counts, plans, size=draws, method="marginals") @ scores
    seen = np.bincount(place[:plans], minlength=len(kinds)) @ scores
    above, below = int((drawn >= seen).sum(axis=0).max()), int((drawn <= seen).sum(axis=0).max())
    return min(1.0, 2 * (min(above, below) + 1) / (draws + 1))


@lru_cache(maxsize=1024)
def student_quantile(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t: the 95 % interval's, in place of the normal 1.96.

    >>> round(student_quantile(4), 4)
    2.7764
    """
    if degrees > _MANY:
        return Z_95
    # By halving: the angle's tangent is t / sqrt(degrees).
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_centre(middle, degrees) < 0.95 else (low, middle)
    return math.tan(low) * math.sqrt(degrees)


def _student_centre(angle: float, degrees: int) -> float:
    """Return P(|t| < tan(angle) * sqrt(degrees)). Source: Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    cosine, sine = math.cos(angle), math.sin(angle)
    is_odd = degrees % 2 == 1
    term, total = (cosine, 0.0) if is_odd else (1.0, 0.0)
    for step in range(1 if is_odd else 0, degrees - 1, 2):
        total += term
        term *= cosine**2 * (step + 1) / (step + 2)
    return (angle + sine * total) * 2 / math.pi if is_odd else sine * total
