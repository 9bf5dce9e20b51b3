"""Exact tests, false discovery and clustered intervals against scipy, and against simulated plans."""

import math
import random

import numpy as np
import pytest
from scipy.stats import binomtest, false_discovery_control, fisher_exact, t

from reports.comparisons import clustered_interval, false_discovery, fisher, poisson_change, student_quantile
from reports.statistics import wilson


@pytest.mark.parametrize("seed", range(30))
def test_fishers_p_value_is_that_of_scipy(seed):
    dice = random.Random(seed)
    total, before = dice.randrange(1, 80), dice.randrange(1, 300)
    hits, hits_before = dice.randrange(total + 1), dice.randrange(before + 1)

    expected = fisher_exact([[hits, total - hits], [hits_before, before - hits_before]]).pvalue

    assert fisher(hits, total, hits_before, before) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "table",
    [(500, 50_000, 560, 50_000), (20, 60, 1000, 99_000), (25_000, 50_000, 25_300, 50_000), (0, 50_000, 25, 50_000)],
)
def test_fishers_p_value_holds_for_a_hundred_thousand_releases(table):
    hits, total, hits_before, before = table

    expected = fisher_exact([[hits, total - hits], [hits_before, before - hits_before]]).pvalue

    assert fisher(*table) == pytest.approx(expected, rel=1e-9)


def test_fishers_p_value_counts_a_tie_on_the_far_side():
    # Of 3 hits among 2 x 10 the tables 0, 1, 2, 3 weigh 120, 450, 450, 120: 3 is no likelier than 0.
    assert fisher(3, 10, 0, 10) == pytest.approx(240 / 1140, rel=1e-12)
    assert fisher(2, 10, 1, 10) == 1.0


def test_nothing_tells_nothing():
    assert fisher(0, 0, 3, 9) == fisher(0, 5, 0, 9) == fisher(0, 0, 0, 0) == poisson_change(0, 1, 0, 4) == 1.0


@pytest.mark.parametrize("seed", range(30))
def test_a_change_of_counts_has_the_p_value_of_the_conditional_binomial_test(seed):
    dice = random.Random(seed)
    count, before = dice.randrange(60), dice.randrange(1, 200)
    exposure, exposure_before = dice.choice([(1, 1), (1, 4), (7, 28), (1, 12), (0.5, 300)])

    expected = binomtest(count, count + before, exposure / (exposure + exposure_before)).pvalue

    assert poisson_change(count, exposure, before, exposure_before) == pytest.approx(expected, rel=1e-9)


def test_a_period_of_no_length_has_no_rate():
    with pytest.raises(ValueError, match="exposures are positive"):
        poisson_change(1, 0, 2, 4)


@pytest.mark.parametrize("seed", range(10))
def test_q_values_are_those_of_scipy(seed):
    dice = random.Random(seed)
    p_values = [dice.choice([dice.random(), dice.random() ** 4, 0.25]) for _ in range(dice.randrange(1, 40))]

    assert false_discovery(p_values) == pytest.approx(list(false_discovery_control(p_values)), rel=1e-12)


def test_what_was_not_tested_does_not_dilute_the_others():
    q_values = false_discovery([math.nan, 0.04, math.nan, 0.01])

    assert (q_values[1], q_values[3]) == (0.04, 0.02)
    assert math.isnan(q_values[0])
    assert false_discovery([]) == []


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 30, 101, 1000, 5000])
def test_students_quantile_is_that_of_scipy(degrees):
    assert student_quantile(degrees) == pytest.approx(t.ppf(0.975, degrees), rel=1e-9 if degrees <= 1000 else 1e-3)


def test_plans_of_one_component_widen_wilson_by_students_quantile_alone():
    hits = [1] * 5 + [0] * 995

    low, high = clustered_interval(hits, [1] * 1000)

    # Unequal only by plans / (plans - 1) and by t of 999 degrees, 1.9623 in place of 1.9600.
    assert (low, high) == pytest.approx(wilson(5, 1000), rel=3e-3)
    assert low <= wilson(5, 1000)[0]
    assert high >= wilson(5, 1000)[1]


def test_plans_that_fail_as_one_count_once_each():
    # Twenty plans of five, four of which failed whole. The residuals are 4 (four times) and -1 (sixteen times), so
    # the variance is 20/19 * 80 / 100^2 = 0.16/19, and deff = (0.16/19) / (0.16/100) = 100/19; four plans tell that,
    # and one more tells 5. So the effective size is 100 / ((4 * 100/19 + 5) / 5).
    hits, totals = [5] * 4 + [0] * 16, [5] * 20

    low, high = clustered_interval(hits, totals)

    z, size = t.ppf(0.975, 19), 100 / ((4 * 100 / 19 + 5) / 5)
    root = z * math.sqrt(0.16 / size + z * z / (4 * size * size)) / (1 + z * z / size)
    centre = (0.2 + z * z / (2 * size)) / (1 + z * z / size)
    assert (low, high) == pytest.approx((centre - root, centre + root), rel=1e-9)


@pytest.mark.parametrize(("hits", "totals"), [([0, 0, 0], [4, 4, 4]), ([4, 4, 4], [4, 4, 4]), ([3], [9]), ([0], [1])])
def test_where_no_variance_can_be_seen_a_plan_counts_as_one(hits, totals):
    low, high = clustered_interval(hits, totals)

    wilson_low, wilson_high = wilson(sum(hits), sum(totals))
    assert 0 <= low <= wilson_low
    assert wilson_high <= high <= 1


def test_an_interval_of_no_plans_is_unknown():
    assert all(math.isnan(bound) for bound in clustered_interval([], []))
    assert all(math.isnan(bound) for bound in clustered_interval([0, 0], [0, 0]))


@pytest.mark.parametrize(("plans", "rate", "together"), [(30, 0.1, 0.4), (60, 0.08, 0.4), (200, 0.05, 0.3)])
def test_the_clustered_interval_covers_where_wilson_alone_fails(plans, rate, together):
    """Plans of 1 to 12 components fail with a rate of their own, drawn so that two of one plan agree by `together`."""
    dice = np.random.default_rng(7)
    weeks, spread = 600, (1 - together) / together
    covered = covered_by_wilson = 0
    for _ in range(weeks):
        totals = dice.integers(1, 13, plans)
        hits = dice.binomial(totals, dice.beta(rate * spread, (1 - rate) * spread, plans))
        low, high = clustered_interval(hits.tolist(), totals.tolist())
        covered += low <= rate <= high
        low, high = wilson(int(hits.sum()), int(totals.sum()))
        covered_by_wilson += low <= rate <= high

    assert covered >= 0.92 * weeks
    assert covered_by_wilson < 0.8 * weeks


@pytest.mark.parametrize(("plans", "rate"), [(12, 0.1), (40, 0.05)])
def test_the_clustered_interval_covers_where_components_fail_alone(plans, rate):
    dice = np.random.default_rng(8)
    covered = 0
    for _ in range(600):
        totals = dice.integers(1, 8, plans)
        low, high = clustered_interval(dice.binomial(totals, rate).tolist(), totals.tolist())
        covered += low <= rate <= high

    assert covered >= 0.92 * 600
