"""Intervals and trends against the libraries that know them."""

import doctest
import importlib
import math
import random

import pytest
from scipy.stats import theilslopes
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from reports.statistics import rate_change, theil_sen, wilson


@pytest.mark.parametrize(("hits", "total"), [(0, 1), (1, 1), (0, 7), (7, 7), (3, 10), (1, 4000), (999, 1000)])
def test_wilson_is_that_of_statsmodels(hits, total):
    low, high = proportion_confint(hits, total, alpha=0.05, method="wilson")

    assert wilson(hits, total) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))


def test_wilson_of_nothing_is_unknown_and_its_ends_are_exact():
    assert all(math.isnan(bound) for bound in wilson(0, 0))
    assert wilson(0, 9)[0] == 0.0
    assert wilson(9, 9)[1] == 1.0


@pytest.mark.parametrize("counts", [(3, 20, 1, 25), (0, 5, 0, 9), (5, 5, 1, 9), (40, 300, 60, 310)])
def test_a_change_of_rates_has_the_interval_of_newcombe(counts):
    low, high = confint_proportions_2indep(*counts, method="newcomb", compare="diff")

    change, found_low, found_high = rate_change(*counts)

    assert change == pytest.approx(counts[0] / counts[1] - counts[2] / counts[3])
    assert (found_low, found_high) == (pytest.approx(low), pytest.approx(high))


def test_a_change_from_an_unknown_rate_is_unknown():
    assert all(math.isnan(number) for number in rate_change(1, 2, 0, 0))


@pytest.mark.parametrize("seed", range(40))
def test_the_trend_is_that_of_scipy(seed):
    dice = random.Random(seed)
    x = sorted(dice.sample(range(20), dice.randrange(2, 14)))
    y = [dice.choice([dice.uniform(1, 500), float(dice.randrange(4))]) for _ in x]
    expected = theilslopes(y, x, alpha=0.95)

    found = theil_sen(x, y)

    assert found == pytest.approx((expected.slope, expected.low_slope, expected.high_slope), rel=1e-12, abs=1e-12)


def test_one_point_has_no_trend():
    assert all(math.isnan(number) for number in theil_sen([3], [1.0]))


@pytest.mark.parametrize(
    "module", ["chart_rows", "comparisons", "failure_rates", "flagged", "statistics", "tables", "window"]
)
def test_the_examples_in_the_docstrings_hold(module):
    results = doctest.testmod(importlib.import_module(f"reports.{module}"))

    assert results.failed == 0
    assert results.attempted > 0
