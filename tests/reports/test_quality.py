"""Quality: every check worked by hand, and all of them once more in plain Python over random archives."""

from datetime import date
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from quality_builders import change, failure, night_run, quality_of, save_doubts, snapshot
from quality_oracle import PlainQuality, random_doubts
from report_builders import UTC_ZONE, at, attempt, component, night, rollback, run, week_47

from reports.quality import CHECKS, GAP, QualityFrames, quality, without_nothing
from reports.tables import records
from reports.window import Window

LATE = {"started_at": at("2026-11-18 12:00"), "ended_at": None, "duration_seconds": None}
ENDS_FIRST = {"ended_at": at("2026-11-16 09:00"), "duration_seconds": None}

# What is in the archive, and what each check that finds something then counts in 2026-W47.
CASES = {
    "nights that no run served or only in part": (
        {"nights": [night("2026-11-16", "missed"), night("2026-11-22", "partial"), night("2026-11-23", "missed")]},
        {"nights_missed": 1, "nights_partial": 1},
    ),
    "a night that is still due is not missed": ({"nights": [night("2026-11-22", "due"), night("2026-11-21")]}, {}),
    "runs that did not end well": (
        {
            "runs": [
                night_run("2026-11-16 02:15", "failed"),
                night_run("2026-11-17 02:15", "interrupted"),
                night_run("2026-11-18 02:15", "partial", error="1 of 2 plans could not be archived"),
                night_run("2026-11-23 02:15", "failed"),
            ]
        },
        {"runs_failed": 2},
    ),
    "lists that are cut short": (
        {
            "runs": [
                night_run("2026-11-16 02:15", "partial", error="the list is incomplete (count 3, 2 plans in it)"),
                night_run("2026-11-17 02:15", "partial", error="the list holds 1 items without an id"),
                night_run("2026-11-18 02:15", "partial", error="The List holds"),
            ]
        },
        {"lists_incomplete": 2},
    ),
    "what a run could not archive": (
        {"runs": [run()], "failures": [failure("a"), failure("b"), failure(None), failure("c", "2026-11-23 00:00")]},
        {"plans_not_fetched": 2, "lists_failed": 1},
    ),
    "an attempt that is still running": (
        {"attempts": [attempt("running", job_id="J", seconds=None)]},
        {"unfinished_attempts": 1},
    ),
    "words that are not documented": (
        {
            "attempts": [
                attempt("unknown", job_id="J1", job_status="EXPLODED"),
                attempt(
                    "unknown",
                    job_id="J2",
                    attempt=2,
                    job_status="success",
                    first_snapshot_id="s2",
                    last_snapshot_id="s2",
                ),
            ]
        },
        {"unknown_outcomes": 2, "unknown_status_words": 2},
    ),
    "an attempt that another replaced while it ran": (
        {
            "attempts": [
                attempt("unknown", job_id="J1", job_status="RUNNING", seconds=None),
                attempt(job_id="J2", attempt=2, first_snapshot_id="s2", last_snapshot_id="s2"),
            ]
        },
        {"unknown_outcomes": 1, "attempts_replaced_unseen": 1},
    ),
    "one without a word of its own had its component's": (
        {
            "attempts": [
                attempt("unknown", job_id="J1", last_seen_at=at("2026-11-18 02:15")),
                attempt("unknown", job_id="J2", component_id="web", last_seen_at=at("2026-11-18 02:15")),
            ],
            "changes": [
                change("CREATED", "2026-11-16 02:15", subject="component", component_id="api"),
                change("RUNNING", "2026-11-17 02:15", subject="component", component_id="api"),
                change("SUCCESS", "2026-11-19 02:15", subject="component", component_id="api"),
                change("ODD", "2026-11-17 02:15", subject="component", component_id="web"),
            ],
        },
        {"unknown_outcomes": 2, "attempts_replaced_unseen": 1, "unknown_status_words": 1},
    ),
    "attempts without a start": (
        {
            "attempts": [
                attempt("failed", job_id="J1", start=None, executed_at=at("2026-11-16 08:00")),
                attempt("aborted", job_id="J2", start=None, plan_id="other", executed_at=at("2026-11-02 08:00")),
            ]
        },
        {"attempts_without_start": 2, "starts_inferred": 1},
    ),
    "an attempt without a job": ({"attempts": [attempt()]}, {"attempts_without_job_id": 1}),
    "rollbacks that are open, unknown and without an id": (
        {
            "rollbacks": [
                rollback("running", seconds=None),
                rollback("unknown", seconds=None),
                rollback(rollback_job_id=None, duration_seconds=60.0),
                rollback("pending", start=None, seconds=None),
                rollback("pending", start="2026-11-25 10:00", seconds=None),
            ]
        },
        {"unfinished_rollbacks": 2, "unknown_rollback_outcomes": 1, "rollbacks_without_id": 1},
    ),
    "ends before their starts": (
        {
            "attempts": [attempt(job_id="J", **ENDS_FIRST)],
            "rollbacks": [rollback(**ENDS_FIRST), rollback(rollback_job_id="fine", duration_seconds=60.0)],
        },
        {"impossible_times": 2},
    ),
    "a start alone that is 24 hours and more after its body": (
        {
            "attempts": [
                attempt("succeeded", job_id="J", first_snapshot_id="s", last_snapshot_id="s", **LATE),
                attempt(start="2026-11-17 12:00", seconds=None, component_id="web", job_id="K", last_snapshot_id="s"),
                # Seen again a day later in another body, it was possible after all.
                attempt("succeeded", component_id="db", job_id="L", last_snapshot_id="s2", **LATE),
            ],
            "snapshots": [snapshot("s", "2026-11-17 11:59"), snapshot("s2", "2026-11-17 12:00")],
        },
        {"impossible_times": 1},
    ),
    "batches and ids that were not sent": (
        {
            "components": [
                component(batch=None),
                component(component_id="missing:web"),
                component(component_id="MISSING:db", batch=0),
                component(component_id="missing:old", first_seen_at=at("2026-11-30 02:15")),
            ]
        },
        {"batches_not_numeric": 1, "components_without_id": 1},
    ),
    "a component twice in its batch": (
        {
            "attempts": [
                attempt(job_id="J1", first_snapshot_id="s1", last_snapshot_id="s2"),
                attempt(job_id="J2", attempt=2, first_snapshot_id="s2", last_snapshot_id="s3"),
                attempt(job_id="J3", attempt=3, first_snapshot_id="s4", last_snapshot_id="s4"),
                attempt(job_id="J4", component_id="web", first_snapshot_id="s1", last_snapshot_id="s2"),
                attempt(job_id="J5", batch=2, first_snapshot_id="s1", last_snapshot_id="s2"),
            ]
        },
        {"components_twice_in_batch": 1},
    ),
    "what has gone": (
        {
            "components": [component(gone_at=at("2026-11-18 02:15")), component(component_id="web")],
            "plans": {("p", "plan"): {"gone_at": at("2026-11-22 23:59")}},
        },
        {"components_gone": 1, "plans_gone": 1},
    ),
    "bodies that were dropped": (
        {
            "runs": [run()],
            "snapshots": [
                snapshot("a", body=None),
                snapshot("b"),
                snapshot("c", "2026-11-23 02:15", None),
            ],
        },
        {"bodies_pruned": 1},
    ),
    "an unsettled plan that was looked at every night but one": (
        {
            "runs": [
                night_run("2026-11-16 02:00"),
                night_run("2026-11-17 02:00"),
                night_run("2026-11-18 02:00", "partial"),
                night_run("2026-11-19 02:00"),
                night_run("2026-11-19 12:00", "failed"),
                night_run("2026-11-20 02:00"),
                night_run("2026-11-21 02:00"),
            ],
            "components": [component()],
            "failures": [failure("plan", "2026-11-18 02:01", "p 2026-11-18 02:00 scheduled")],
            "changes": [
                change("CREATED", "2026-11-16 02:01", "p 2026-11-16 02:00 scheduled"),
                change("RUNNING", "2026-11-17 02:01", "p 2026-11-17 02:00 scheduled"),
                change("SUCCESS", "2026-11-20 02:01", "p 2026-11-20 02:00 scheduled"),
            ],
            "plans": {("p", "plan"): {"settled_at": at("2026-11-20 02:01")}},
        },
        # Gaps of 24, 48 and 24 hours; the failed run is no look, and after it settled there are none.
        {"plans_not_fetched": 1, "runs_failed": 1, GAP: 24 + 0.8 * 24},
    ),
    "a plan that is unsettled since before the window": (
        {
            "runs": [night_run("2026-11-15 20:00"), night_run("2026-11-16 02:00"), night_run("2026-11-16 03:00")],
            "components": [component()],
            "changes": [change("RUNNING", "2026-11-01 02:00", "p 2026-11-01 02:00 scheduled")],
        },
        {GAP: 1 + 0.9 * 5},  # 6 and 1 hours
    ),
    "an import is a look when its body was captured": (
        {
            "runs": [night_run("2026-11-17 12:00", kind="import"), night_run("2026-11-17 02:00")],
            "components": [component()],
            "changes": [
                change("RUNNING", "2026-11-16 16:00", "p 2026-11-17 12:00 import"),
                change(None, "2026-11-17 02:01", "p 2026-11-17 02:00 scheduled"),
            ],
        },
        {GAP: 10.0},
    ),
}


def found_in(table):
    return {row["check"]: row["count"] for row in records(without_nothing(table))}


@pytest.mark.parametrize("case", CASES)
def test_a_check_counts_what_it_says(case, sqlite_archive):
    rows, expected = CASES[case]
    save_doubts(sqlite_archive, **rows)

    table = quality_of(sqlite_archive, week_47())

    assert found_in(table) == pytest.approx(expected)


def test_every_check_is_worked_by_hand_and_defined_in_one_sentence():
    assert {check for _, expected in CASES.values() for check in expected} == set(CHECKS)
    assert all(text.endswith(".") and text[0].isupper() for text in CHECKS.values())


def test_a_row_is_there_for_each_project_week_and_check_in_their_order(sqlite_archive):
    save_doubts(sqlite_archive, runs=[night_run("2026-11-01 02:15", project_id=name) for name in ("q", "p")])

    table = quality_of(sqlite_archive, week_47(2))

    keys = [(row["project_id"], row["week"], row["check"]) for row in records(table)]
    assert keys == [(name, week, check) for name in "pq" for week in ("2026-W46", "2026-W47") for check in CHECKS]
    by_check = {row["check"]: row["count"] for row in records(table)}
    assert by_check.pop(GAP) is None
    assert set(by_check.values()) == {0.0}


def test_a_project_brings_its_own_rows_and_an_unknown_one_none(sqlite_archive):
    save_doubts(sqlite_archive, nights=[night("2026-11-17", "missed"), night("2026-11-17", "missed", "q")])

    mine, none = quality_of(sqlite_archive, week_47(), ("q",)), quality_of(sqlite_archive, week_47(), ("x",))

    assert set(mine["project_id"]) == {"q"}
    assert found_in(mine) == {"nights_missed": 1}
    assert len(none) == 0
    assert list(none.columns) == ["project_id", "week", "check", "count"]


def test_an_archive_with_nothing_in_it_has_no_rows():
    assert len(quality(QualityFrames(), week_47())) == 0
    assert (
        len(quality(QualityFrames(projects=("p",)), Window.between(date(2026, 11, 16), date(2026, 11, 16), UTC_ZONE)))
        == 0
    )


def test_a_week_is_that_of_the_zone(sqlite_archive):
    save_doubts(sqlite_archive, runs=[night_run("2026-11-22 20:00", "failed")])
    zone = ZoneInfo("Asia/Tokyo")  # where it is Monday already

    table = quality_of(sqlite_archive, Window.between(date(2026, 11, 16), date(2026, 11, 30), zone))

    assert [row["week"] for row in records(without_nothing(table))] == ["2026-W48"]


@pytest.mark.parametrize("seed", range(3))
def test_random_archives_are_counted_as_plain_python_counts_them(seed, sqlite_archive):
    rows = random_doubts(600 + seed)
    save_doubts(sqlite_archive, **rows)
    since, until, zone = date(2026, 10, 14), date(2026, 11, 5), ZoneInfo("America/New_York")

    table = quality_of(sqlite_archive, Window.between(since, until, zone))

    found = {(row["project_id"], row["week"], row["check"]): row["count"] for row in records(table)}
    expected = PlainQuality(rows).table(since, until, zone)
    # Nearly every check finds something in each of these archives.
    assert len({check for (_, _, check), count in expected.items() if count}) >= len(CHECKS) - 1
    assert found == pytest.approx(expected)


def test_both_databases_give_the_same_numbers(sqlite_archive, postgres_archive):
    rows, window = random_doubts(610), Window.between(date(2026, 10, 12), date(2026, 11, 9), ZoneInfo("Asia/Kolkata"))
    for engine in (sqlite_archive, postgres_archive):
        save_doubts(engine, **rows)

    ours, theirs = (quality_of(engine, window) for engine in (sqlite_archive, postgres_archive))

    pd.testing.assert_frame_equal(ours, theirs)
    assert len(set(without_nothing(ours)["check"])) >= len(CHECKS) - 1


def test_only_the_bodies_of_runs_that_are_known_count_as_pruned(sqlite_archive):
    save_doubts(
        sqlite_archive,
        runs=[run(run_id="known")],
        snapshots=[snapshot("x", body=None, run_id="known"), snapshot("y", body=None, run_id="later")],
    )

    assert found_in(quality_of(sqlite_archive, week_47())) == {"bodies_pruned": 1}
