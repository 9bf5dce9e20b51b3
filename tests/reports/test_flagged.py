"""Which components changed: by hand, against scipy, and in simulated weeks."""

import math

import numpy as np
import pandas as pd
import pytest
from oracle import Oracle
from random_archives import random_archive
from report_builders import UTC_ZONE, attempt, frames, week_47
from scipy.stats import false_discovery_control, fisher_exact

from reports.columns import ATTEMPTS, Frames, conform
from reports.flagged import changes, flagged_components
from reports.tables import records

WEEKS = ["2026-10-26", "2026-11-02", "2026-11-09", "2026-11-16"]


def releases(day, component, finished, failed):
    """Return so many plans of one component on one day."""
    return [
        attempt(
            "failed" if number < failed else "succeeded",
            f"{day} 10:00",
            component_id=component,
            plan_id=f"{component}-{day}-{number}",
        )
        for number in range(finished)
    ]


def test_a_component_that_broke_is_named_first_with_its_counts():
    quiet = [row for day in WEEKS for row in releases(day, "api", 5, 0)]
    broken = [row for day in WEEKS[:3] for row in releases(day, "web", 4, 0)] + releases(WEEKS[3], "web", 4, 4)

    first, second = records(flagged_components(frames(quiet + broken), week_47(4)))

    assert (first["component_id"], first["is_flagged"], first["is_worse"], first["is_too_few"]) == (
        "web",
        True,
        True,
        True,
    )
    assert (first["finished"], first["failed"], first["finished_before"], first["failed_before"]) == (4, 4, 12, 0)
    # 4 failures among 16 that all fall on one given four: one in C(16, 4) = 1820, and two components were tested.
    assert first["p_value"] == pytest.approx(1 / 1820)
    assert first["q_value"] == pytest.approx(2 / 1820)
    assert (second["component_id"], second["p_value"], second["is_flagged"]) == ("api", 1.0, False)


def test_a_component_that_mended_is_flagged_as_better():
    before = [row for day in WEEKS[:3] for row in releases(day, "web", 5, 4)]

    (row,) = records(flagged_components(frames(before + releases(WEEKS[3], "web", 12, 0)), week_47(4)))

    assert (row["is_flagged"], row["is_worse"], row["failure_rate"], row["failure_rate_before"]) == (
        True,
        False,
        0.0,
        0.8,
    )


def test_only_the_weeks_asked_for_are_the_baseline():
    rows = [row for day in WEEKS for row in releases(day, "web", 3, 1)]

    (all_three,) = records(flagged_components(frames(rows), week_47(4)))
    (one,) = records(flagged_components(frames(rows), week_47(4), baseline_weeks=1))
    (none,) = records(flagged_components(frames(rows), week_47(4), baseline_weeks=0))

    assert [row["finished_before"] for row in (all_three, one, none)] == [9, 3, 0]


def test_a_plan_that_fails_in_many_batches_is_one_event():
    rows = [row for day in WEEKS[:3] for row in releases(day, "web", 6, 0)]
    rows += [attempt("failed", batch=batch, component_id="web") for batch in range(1, 8)]

    (row,) = records(flagged_components(frames(rows), week_47(4)))

    assert (row["finished"], row["failed"], row["finished_before"], row["is_flagged"]) == (1, 1, 18, False)


def test_a_component_without_a_past_is_shown_and_not_tested():
    (row,) = records(flagged_components(frames(releases(WEEKS[3], "new", 3, 3)), week_47(4)))

    assert (row["finished"], row["failure_rate_before"], row["p_value"], row["q_value"]) == (3, None, None, None)
    assert (row["is_flagged"], row["is_worse"]) == (False, False)


def test_what_did_not_finish_or_lies_outside_the_window_does_not_count():
    rows = [
        attempt("running", plan_id="a"),
        attempt("aborted", plan_id="b"),
        attempt("failed", "2026-11-23 00:00", plan_id="c"),
        attempt("failed", "2026-10-25 23:59", plan_id="d"),
        attempt("succeeded", plan_id="e"),
    ]

    (row,) = records(flagged_components(frames(rows), week_47(4)))

    assert (row["finished"], row["failed"], row["finished_before"]) == (1, 0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_random_archives_give_what_scipy_gives(seed):
    archive = random_archive(seed, plans=60)
    window = week_47(6)
    oracle = Oracle(
        archive["attempts"],
        archive["rollbacks"],
        archive["components"],
        since=window.since_date,
        until=window.until_date,
        zone=UTC_ZONE,
    )
    done = [(one["start"], one) for one in oracle.releases() if one["outcome"] in ("succeeded", "failed")]
    plans = {}
    for (week,), rows in oracle.groups(done, ("week",)).items():
        for one in rows:
            key = (one["project_id"], one["component_id"], one["plan_id"])
            first, failed = plans.get(key, (week, False))
            plans[key] = (min(first, week), failed or one["outcome"] == "failed")
    expected = {}
    for (project, component, _), (week, failed) in plans.items():
        counts = expected.setdefault((project, component), [0, 0, 0, 0])
        place = 0 if week == "2026-W47" else 2
        counts[place] += failed
        counts[place + 1] += 1
    expected = {key: counts for key, counts in expected.items() if counts[1]}
    p_values = {key: fisher_exact([[a, n - a], [b, m - b]]).pvalue for key, (a, n, b, m) in expected.items() if m}
    q_values = dict(zip(p_values, false_discovery_control(list(p_values.values())) if p_values else [], strict=True))

    table = records(flagged_components(frames(**archive), window))

    assert {(row["project_id"], row["component_id"]) for row in table} == expected.keys()
    for row in table:
        key = (row["project_id"], row["component_id"])
        assert [row["failed"], row["finished"], row["failed_before"], row["finished_before"]] == expected[key]
        assert row["p_value"] == pytest.approx(p_values.get(key))
        assert row["q_value"] == pytest.approx(q_values.get(key))


def test_two_hundred_quiet_components_raise_no_alarm_in_95_of_100_weeks():
    dice = np.random.default_rng(47)
    alarms = 0
    for _ in range(100):
        rates = dice.uniform(0.005, 0.08, 200)
        now, before = dice.integers(1, 60, 200), dice.integers(4, 700, 200)
        counts = np.column_stack([dice.binomial(now, rates), now, dice.binomial(before, rates), before])
        _, q_values = changes(counts)
        alarms += min(q_values) < 0.05

    assert alarms <= 5


@pytest.mark.parametrize("weeks_before", [4, 12])
def test_a_component_that_went_from_2_to_20_percent_of_60_is_named_in_most_weeks(weeks_before):
    dice = np.random.default_rng(48)
    named = others = 0
    for _ in range(100):
        rates = np.full(200, 0.02)
        now, before = np.full(200, 60), np.full(200, 60 * weeks_before)
        failed_before = dice.binomial(before, rates)
        rates[0] = 0.2
        _, q_values = changes(np.column_stack([dice.binomial(now, rates), now, failed_before, before]))
        named += q_values[0] < 0.05
        others += sum(q < 0.05 for q in q_values[1:])

    assert named >= 80
    assert others <= 10


def test_the_alarm_of_frames_is_the_alarm_of_counts():
    dice = np.random.default_rng(49)
    rows = []
    for week, day in enumerate(WEEKS):
        for component in range(20):
            usual = 1 if component == 7 else int(dice.binomial(60, 0.02))
            failed = 12 if (component, week) == (7, 3) else usual
            rows += releases(day, f"c{component:02}", 60, failed)
    loaded = Frames(attempts=conform(pd.DataFrame(rows), ATTEMPTS))

    table = records(flagged_components(loaded, week_47(4)))

    assert [row["component_id"] for row in table if row["is_flagged"]] == ["c07"]
    assert all(math.isclose(row["failure_rate_before"], row["failed_before"] / 180) for row in table)
