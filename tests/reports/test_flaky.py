"""Flaky components: by hand, and once more place by place in plain Python."""

from collections import defaultdict

import pytest
from oracle import interval, is_inside, iso_week, place_of, release_start
from random_archives import random_archive
from report_builders import UTC_ZONE, attempt, frames, week_47

from reports.flaky import flaky_components
from reports.groups import Selection
from reports.tables import records

BY_COMPONENT = Selection(week_47(), ("component",))


def tries(*outcomes, versions=None, **other):
    """Return the attempts of one place, one after the other."""
    versions = versions or ["1.0"] * len(outcomes)
    return [
        attempt(outcome, f"2026-11-16 1{rank}:00", attempt=rank, job_id=f"j{rank}", version=version, **other)
        for rank, (outcome, version) in enumerate(zip(outcomes, versions, strict=True), start=1)
    ]


@pytest.mark.parametrize(
    ("outcomes", "versions", "flaky", "reruns"),
    [
        (["succeeded"], None, 0, 0),
        (["failed", "succeeded"], None, 1, 1),
        (["failed", "failed", "succeeded"], None, 1, 2),
        (["failed", "failed"], None, 0, 1),
        (["failed", "succeeded"], ["1.0", "1.1"], 0, 0),
        (["failed", "failed", "succeeded"], ["1.0", "1.1", "1.0"], 1, 1),
        (["failed", "succeeded"], [None, None], 0, 0),
        (["succeeded", "failed"], None, 0, 0),
        (["failed", "succeeded", "running"], None, 0, 2),
    ],
)
def test_a_release_is_flaky_if_the_same_version_failed_and_then_succeeded(outcomes, versions, flaky, reruns):
    (row,) = records(flaky_components(frames(tries(*outcomes, versions=versions)), BY_COMPONENT))

    assert (row["flaky"], row["reruns"]) == (flaky, reruns)


def test_another_place_or_plan_is_another_release():
    rows = [*tries("failed"), *tries("succeeded", batch=2), *tries("succeeded", plan_id="next")]

    (row,) = records(flaky_components(frames(rows), BY_COMPONENT))

    assert (row["finished"], row["flaky"], row["flaky_rate"]) == (3, 0, 0.0)


def test_a_batch_without_a_number_is_a_place_too():
    (row,) = records(flaky_components(frames(tries("failed", "succeeded", batch=None)), BY_COMPONENT))

    assert (row["finished"], row["flaky"]) == (1, 1)


def test_by_week_every_week_is_a_row():
    rows = records(flaky_components(frames(tries("failed", "succeeded")), Selection(week_47(2))))

    assert [(row["week"], row["finished"], row["flaky"], row["flaky_rate"]) for row in rows] == [
        ("2026-W46", 0, 0, None),
        ("2026-W47", 1, 1, 1.0),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_random_archives_give_what_plain_python_counts(seed):
    archive, window = random_archive(seed, plans=80), week_47(5)
    places = defaultdict(list)
    for row in archive["attempts"]:
        places[place_of(row)].append(row)
    expected = defaultdict(lambda: [0, 0, 0])
    for rows in places.values():
        rows.sort(key=lambda row: row["attempt"])
        start = release_start(rows)
        if not is_inside(start, window.since_date, window.until_date, UTC_ZONE):
            continue
        again = [
            later
            for place, later in enumerate(rows)
            if any(r["outcome"] == "failed" and r["version"] == later["version"] is not None for r in rows[:place])
        ]
        one = expected[iso_week(start, UTC_ZONE), rows[0]["component_id"], rows[0]["project_id"]]
        is_finished = rows[-1]["outcome"] in ("succeeded", "failed")
        one[0] += is_finished
        one[1] += is_finished and any(row["outcome"] == "succeeded" for row in again)
        one[2] += len(again)

    table = records(flaky_components(frames(**archive), Selection(window, ("week", "component"))))

    found = {(r["week"], r["component_id"], r["project_id"]): [r["finished"], r["flaky"], r["reruns"]] for r in table}
    assert {key: counts for key, counts in found.items() if key[1] is not None} == dict(expected)
    assert sum(counts[1] for counts in expected.values()) > 0
    for row in table:
        low, high = interval(row["flaky"], row["finished"])
        assert (row["ci_low"], row["ci_high"]) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
