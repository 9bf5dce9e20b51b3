"""Recovery and what is still open: by hand, and once more release by release in plain Python."""

from collections import defaultdict

import pytest
from oracle import Oracle, iso_week, quantile
from random_archives import random_archive
from report_builders import UTC_ZONE, attempt, frames, rollback, week_47

from reports.groups import Selection
from reports.recovery import recovery
from reports.tables import records

COUNTS = ("change_failures", "recovered", "open_rollbacks", "open_failures")


def counted(attempts, rollbacks=()):
    (row,) = records(recovery(frames(attempts, rollbacks), Selection(week_47())))
    return tuple(row[name] for name in COUNTS)


LATER = attempt(plan_id="later", start="2026-11-18 10:00", job_id="later")


@pytest.mark.parametrize(
    ("attempts", "rollbacks", "expected"),
    [
        ([attempt()], [], (0, 0, 0, 0)),
        ([attempt()], [rollback()], (1, 1, 0, 0)),
        ([attempt()], [rollback("failed")], (1, 0, 1, 0)),
        ([attempt()], [rollback("running", None)], (1, 0, 1, 0)),
        ([attempt()], [rollback("succeeded", None)], (1, 1, 0, 0)),
        ([attempt("failed")], [], (1, 0, 0, 1)),
        ([attempt("failed"), LATER], [], (1, 1, 0, 0)),
        ([attempt("failed"), LATER | {"outcome": "failed"}], [], (2, 0, 0, 2)),
        ([attempt("failed"), LATER | {"component_id": "web"}], [], (1, 0, 0, 1)),
        ([attempt("failed"), LATER | {"project_id": "q"}], [], (1, 0, 0, 1)),
        ([attempt(), LATER], [rollback("failed")], (1, 1, 0, 0)),
        ([attempt("failed", start="2026-11-19 10:00"), LATER], [], (1, 0, 0, 1)),
        ([attempt("running")], [rollback("failed")], (0, 0, 0, 0)),
    ],
)
def test_a_change_failure_is_over_once_rolled_back_or_redeployed(attempts, rollbacks, expected):
    assert counted(attempts, rollbacks) == expected


def test_a_redeployment_that_was_itself_rolled_back_recovers_nothing():
    undone = rollback("failed", "2026-11-18 12:00", plan_id="later", rollback_job_id="rb2")

    assert counted([attempt("failed"), LATER], [undone]) == (2, 0, 1, 1)


def test_the_quantiles_speak_of_what_was_rolled_back_and_open_ones_are_counted_beside():
    rows, undone = [], []
    for number, start in enumerate(["11:01", "12:01", "13:01"]):
        rows.append(attempt(plan_id=f"p{number}", component_id=f"c{number}"))
        undone.append(rollback(start=f"2026-11-16 {start}", seconds=0, plan_id=f"p{number}", component_id=f"c{number}"))
    rows.append(attempt("failed", plan_id="open", component_id="open"))

    (row,) = records(recovery(frames(rows, undone), Selection(week_47())))

    # Ended at 10:01; back after one, two and three hours.
    assert (row["recovery_p50_seconds"], row["recovery_p90_seconds"]) == (7200, pytest.approx(10_080))
    assert (row["change_failures"], row["recovered"], row["open_failures"]) == (4, 3, 1)


def test_a_week_without_change_failures_is_a_row_of_noughts():
    first, second = records(recovery(frames([attempt("failed")]), Selection(week_47(2))))

    assert [first[name] for name in (*COUNTS, "recovery_p50_seconds", "coverage")] == [0, 0, 0, 0, None, "none"]
    assert second["open_failures"] == 1


@pytest.mark.parametrize("seed", range(4))
def test_random_archives_give_what_plain_python_counts(seed):
    archive, window = random_archive(seed, plans=80), week_47(5)
    oracle = Oracle(
        archive["attempts"],
        archive["rollbacks"],
        archive["components"],
        since=window.since_date,
        until=window.until_date,
        zone=UTC_ZONE,
    )
    releases = oracle.releases()
    expected, seconds = defaultdict(lambda: [0, 0, 0, 0]), defaultdict(list)
    labels = [week.label for week in window.weeks]
    for one in releases:
        is_failure = one["outcome"] == "failed" or (one["outcome"] == "succeeded" and one["held"])
        if not is_failure or one["start"] is None or iso_week(one["start"], UTC_ZONE) not in labels:
            continue
        is_over = any(r["outcome"] == "succeeded" for r in one["held"]) or any(
            other["outcome"] == "succeeded"
            and not other["held"]
            and (other["project_id"], other["component_id"]) == (one["project_id"], one["component_id"])
            and other["start"] is not None
            and other["start"] > one["start"]
            for other in releases
        )
        week = iso_week(one["start"], UTC_ZONE)
        place = 1 if is_over else 2 if one["held"] else 3
        expected[week][0] += 1
        expected[week][place] += 1
        if one["recovery"] is not None:
            seconds[week].append(one["recovery"])

    table = records(recovery(frames(**archive), Selection(window)))

    assert [row["week"] for row in table] == labels
    for row in table:
        assert [row[name] for name in COUNTS] == expected[row["week"]]
        for q, name in ((0.5, "recovery_p50_seconds"), (0.9, "recovery_p90_seconds")):
            assert row[name] == pytest.approx(quantile(seconds[row["week"]], q))
