"""Rollbacks, and the releases they belong to, worked by hand on a few rows."""

from datetime import UTC, datetime

import pytest
from report_builders import at, attempt, frames, rollback, week_47

from reports.groups import Selection
from reports.releases import component_releases
from reports.rollbacks import rollback_rates
from reports.tables import records

AS_OF = datetime(2026, 11, 24, tzinfo=UTC)
WEEK = Selection(week_47())


def rollbacks_of(*rows, attempts, within_days=None):
    archive = frames(attempts=attempts, rollbacks=rows)
    (row,) = records(rollback_rates(archive, WEEK, as_of=AS_OF, recheck_days=14, within_days=within_days))
    return row


def releases_by_batch(*attempts, rollbacks=()):
    archive = frames(attempts, rollbacks)
    rows = component_releases(archive.attempts, archive.rollbacks)
    return rows.sort_values("batch").set_index("batch")


def test_a_rollback_counts_in_its_releases_week_whatever_its_state():
    attempts = [
        attempt(component_id="api"),
        attempt("failed", component_id="web"),
        attempt("aborted", component_id="db"),
    ]
    late = rollback("running", "2026-11-23 10:00")

    row = rollbacks_of(late, attempts=attempts)

    assert (row["finished"], row["rolled_back"], row["rollback_rate"]) == (2, 1, 0.5)
    assert (row["rollbacks"], row["rollbacks_failed"], row["recovery_p50_seconds"]) == (1, 0, None)


def test_recovery_runs_from_the_attempt_undone_to_the_first_successful_rollback():
    attempts = [
        attempt("failed", "2026-11-16 10:00", 100, job_id="j1"),
        attempt("failed", "2026-11-16 12:00", 100, job_id="j2", attempt=2),
    ]
    first = rollback("failed", "2026-11-16 11:00", 60, job_id="j1", rollback_job_id="r1")
    second = rollback("succeeded", "2026-11-16 11:30", 60, job_id="j1", rollback_job_id="r2")
    third = rollback("succeeded", "2026-11-16 13:00", 60, job_id="j2", rollback_job_id="r3")

    row = rollbacks_of(third, first, second, attempts=attempts)

    assert (row["rollbacks"], row["rollbacks_failed"]) == (3, 1)
    assert row["recovery_p50_seconds"] == 5460 - 100  # 10:01:40 to 11:31:00


def test_a_rollback_without_a_job_undid_the_latest_attempt_before_it():
    attempts = [attempt("failed", "2026-11-16 10:00", 100), attempt("failed", "2026-11-16 10:30", 100, attempt=2)]

    row = rollbacks_of(rollback("succeeded", "2026-11-16 11:00", 60), attempts=attempts)

    assert row["recovery_p50_seconds"] == 1860 - 100  # 10:31:40 to 11:01:00


def test_a_recovery_that_ran_backwards_is_unknown():
    attempts = [attempt("failed", "2026-11-16 10:00", 7200, job_id="j")]

    row = rollbacks_of(rollback("succeeded", "2026-11-16 11:00", 60, job_id="j"), attempts=attempts)

    assert (row["rolled_back"], row["recovery_p50_seconds"], row["recovery_p90_seconds"]) == (1, None, None)


def test_a_rollback_seen_after_a_move_belongs_to_the_release_of_its_job():
    row = rollbacks_of(rollback(batch=4, job_id="j"), attempts=[attempt(job_id="j"), attempt(component_id="web")])

    assert (row["finished"], row["rolled_back"]) == (2, 1)


def test_a_rollback_belongs_to_the_release_of_its_job_before_that_of_its_place():
    releases = releases_by_batch(
        attempt("failed", job_id="j1", seconds=60),
        attempt(job_id="j2", batch=2, start="2026-11-16 10:30"),
        rollbacks=[rollback(batch=2, job_id="j1")],
    )

    assert releases["rollbacks"].to_dict() == {1: 1, 2: 0}
    assert releases["recovery_seconds"][1] == 3600  # 10:01 to 11:01


@pytest.mark.parametrize(("start", "batch"), [("2026-11-16 11:00", 2), ("2026-11-16 09:00", 3), (None, 3)])
def test_a_rollback_without_job_or_place_belongs_to_the_latest_release_before_it(start, batch):
    attempts = [
        attempt("failed", start="2026-11-16 10:00", batch=1),
        attempt("failed", start="2026-11-16 10:30", batch=2),
        attempt("failed", start="2026-11-16 12:00", batch=3),
        attempt("aborted", None, batch=4),
        attempt("failed", start="2026-11-16 10:45", batch=5, component_id="web"),
        attempt("failed", start="2026-11-16 10:45", batch=6, plan_id="other"),
    ]

    releases = releases_by_batch(*attempts, rollbacks=[rollback(start=start, batch=9)])

    assert releases.loc[releases["rollbacks"] > 0, "rollbacks"].to_dict() == {batch: 1}


def test_a_rollback_of_a_component_without_any_release_in_the_plan_is_left_out():
    releases = releases_by_batch(attempt(), rollbacks=[rollback(component_id="web", batch=9)])

    assert releases["rollbacks"].to_list() == [0]


def test_a_release_starts_with_its_first_attempt_that_has_a_start():
    seen = at("2026-11-16 02:15")
    releases = releases_by_batch(
        attempt("aborted", None),
        attempt("failed", None, attempt=2, first_seen_at=seen),
        attempt("aborted", None, batch=2),
    )

    assert releases["started_at"][1] == seen
    assert releases["started_at"].isna().to_dict() == {1: False, 2: True}
    assert releases["is_start_inferred"].to_dict() == {1: True, 2: False}


def test_the_first_successful_rollback_is_found_by_its_end_where_it_has_no_start():
    attempts = [attempt("failed", "2026-11-16 10:00", 60, job_id="j")]
    unstarted = rollback(start=None, ended_at=at("2026-11-16 10:31"), job_id="j", rollback_job_id="r2")
    started = rollback(start="2026-11-16 11:00", job_id="j", rollback_job_id="r1")

    row = rollbacks_of(started, unstarted, attempts=attempts)

    assert (row["rollbacks"], row["recovery_p50_seconds"]) == (2, 1800)  # 10:01 to 10:31


def test_a_rollback_in_a_batch_without_number_finds_its_release():
    assert rollbacks_of(rollback(batch=None), attempts=[attempt(batch=None)])["rolled_back"] == 1


@pytest.mark.parametrize(("days", "counted"), [(None, 1), (3, 1), (2, 0)])
def test_within_days_leaves_out_what_began_later(days, counted):
    attempts = [attempt(start="2026-11-16 10:00", seconds=60)]

    row = rollbacks_of(rollback(start="2026-11-19 10:01"), attempts=attempts, within_days=days)

    assert (row["rolled_back"], row["rollbacks"], row["finished"]) == (counted, counted, 1)


def test_a_week_is_provisional_until_its_recheck_days_are_over():
    selection = Selection(week_47(2))

    table = rollback_rates(frames(), selection, as_of=datetime(2026, 11, 30, tzinfo=UTC), recheck_days=14)

    assert [row["provisional"] for row in records(table)] == [False, True]
